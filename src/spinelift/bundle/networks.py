"""A few ONNX files that belong together, and the JSON card that names them with their hashes.

The card is written last and whole: a folder that has it has everything. Bundles for prediction have a card
of their own (`predict.card`).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import onnxruntime

from spinelift.errors import BundleError

FORMAT = 1
SHIPPED = Path(__file__).parents[1] / "bundles" / "cohort"
"""Folder of the networks that the paired cohort is made with."""
About = TypeVar("About")


@dataclass(frozen=True)
class Networks(Generic[About]):
    """What was read of the card, the card's SHA-256, and one session a file."""

    about: About
    digest: str
    sessions: tuple[onnxruntime.InferenceSession, ...]


def write_networks_card(path: Path, names: Sequence[str], about: dict[str, Any]) -> None:
    """Write the card of the files ``names`` beside it."""
    card = {"format": FORMAT, **about, "files": {name: _sha256(path.parent / name) for name in names}}
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def load_networks(
    path: Path, names: Sequence[str], read: Callable[[dict[str, Any]], About], *, do: str, threads: int = 1
) -> Networks[About]:
    """Load the files ``names`` beside the card ``path``, every hash checked.

    ``read`` takes from the card what else is needed; what it does not find there makes the card a broken one.

    Raises
    ------
    BundleError
        Something is missing, altered, or of another format; it tells the user to ``do``.
    """

    def broken(found: str) -> BundleError:
        files = f"{path.name}, {' and '.join(names)} of one training run"
        return BundleError(found=found, expected=files, do=do)

    try:
        text = path.read_text(encoding="utf-8")
        card = json.loads(text)
        if card["format"] != FORMAT:
            raise broken(f"format {card['format']} in {path.name}")
        for name in names:
            if _sha256(path.parent / name) != card["files"][name]:
                raise broken(f"{name} that is not the one of {path.name}")
        about = read(card)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise broken(f"no whole set of networks in {path.parent.name} ({error})") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sessions = tuple(
        onnxruntime.InferenceSession(path.parent / name, options, providers=["CPUExecutionProvider"])
        for name in names
    )
    return Networks(about, hashlib.sha256(text.encode()).hexdigest(), sessions)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
