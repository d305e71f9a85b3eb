"""A set of networks, read from a folder or a zip with every hash checked. No pickles anywhere."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from pydantic import ValidationError

from spinelift.bundle.card import CARD_NAME, Card, Metric
from spinelift.bundle.kinds import EncodersCard, MriSegmenterCard, PredictionCard
from spinelift.bundle.session import OnnxNetwork
from spinelift.errors import BundleError
from spinelift.files import file_sha256, write_whole

SHIPPED = Path(__file__).parents[1] / "bundles"
"""Folder of the sets that come with spinelift, one folder a set."""
MAX_FILE_BYTES = 1 << 30
PEOPLE = "people.bin"
"""File of a set, and of a training run, with the hashes of the people that the networks have seen."""
CardT = TypeVar("CardT", bound=Card)
_Files = Mapping[str, tuple[int, Callable[[], bytes]]]


@dataclass(frozen=True)
class BundleRef:
    """Which bundle made a result. ``sha256`` is the hash of its card, which holds all other hashes."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Bundle(Generic[CardT]):
    """A verified set of networks: its card, and the ONNX files' bytes by the name of the network.

    ``people`` are the hashes of the people of training (``evaluate.people``); empty if it holds none.
    """

    card: CardT
    ref: BundleRef
    networks: Mapping[str, bytes]
    people: bytes = b""

    def network(self, name: str, threads: int | None = None) -> OnnxNetwork:
        """One of the networks, ready to run; a :class:`BundleError` if it is not what the kind asks for."""
        return OnnxNetwork(self.networks[name], name, self.card.preprocessing.signatures()[name], threads)


def shipped(kind: type[Card]) -> Path:
    """Folder of the set of a kind that comes with spinelift."""
    return SHIPPED / kind.SHIPPED


def load_bundle(kind: type[CardT], path: Path | str | None = None) -> Bundle[CardT]:
    """Read and verify a set of networks of one kind from a folder or zip; None is the one that ships.

    Raises
    ------
    BundleError
        When it is missing, incomplete, altered, of another kind, or made for other preprocessing.
    """
    with _contents(shipped(kind) if path is None else Path(path)) as files:
        return _verified(kind, files)


def load_any(path: Path | str | None = None) -> Bundle[Card]:
    """Read and verify a set of networks of any kind, which its card names; else as :func:`load_bundle`."""
    with _contents(shipped(PredictionCard) if path is None else Path(path)) as files:
        kinds: tuple[type[Card], ...] = (PredictionCard, MriSegmenterCard, EncodersCard)
        try:
            named = json.loads(_read(files, CARD_NAME))["kind"]
        except (KeyError, TypeError, ValueError):
            named = None
        return _verified(next((k for k in kinds if k.model_fields["kind"].default == named), kinds[0]), files)


@contextmanager
def _contents(path: Path) -> Iterator[_Files]:
    """Files of a folder or zip: the size of each in bytes, and the function that reads it, by its name."""
    try:
        if path.is_dir():
            yield {p.name: (p.stat().st_size, p.read_bytes) for p in path.iterdir() if p.is_file()}
            return
        if path.is_file():
            with zipfile.ZipFile(path) as archive:
                members = {PurePosixPath(m.filename).name: m for m in archive.infolist() if not m.is_dir()}
                yield {name: (m.file_size, partial(archive.read, m)) for name, m in members.items()}
            return
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, zlib.error) as error:
        raise _damaged(f"a damaged file ({error}) where the bundle should be", "a folder or zip") from error
    raise BundleError(
        found=f"no bundle at {path}",
        expected=f"a folder or a zip with {CARD_NAME}",
        do="Check the path; without one the networks that come with spinelift are used.",
    )


def write_card(folder: Path, card: Card) -> None:
    """Write ``card.json`` beside the files that it names, in one step."""
    write_whole(folder / CARD_NAME, card.model_dump_json(indent=1) + "\n")


def add_metrics(kind: type[CardT], folder: Path, metrics: Sequence[Metric]) -> CardT:
    """Put figures into the card of a folder (not a zip); earlier ones of the same data sets go."""
    if not folder.is_dir():
        raise BundleError(
            found=f"no folder at {folder}", expected="a bundle's folder, not a zip", do="Unzip it first."
        )
    card = load_bundle(kind, folder).card
    new = {metric.dataset for metric in metrics}
    kept = [metric for metric in card.metrics if metric.dataset not in new]
    card = card.model_copy(update={"metrics": [*kept, *metrics]})
    write_card(folder, card)
    return card


def hash_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files of a folder by name: the card's ``files``."""
    return {name: file_sha256(folder / name) for name in sorted(names)}


def _read(contents: _Files, name: str) -> bytes:
    size, data = contents[name]
    if size > MAX_FILE_BYTES:
        raise _damaged(f"a bundle file {name} of more than 1 GiB", "less")
    return data()


def _verified(kind: type[CardT], contents: _Files) -> Bundle[CardT]:
    try:
        raw = _read(contents, CARD_NAME)
        card = kind.model_validate_json(raw)
        files = {name: _read(contents, name) for name in card.files}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or CARD_NAME
        raise BundleError(
            found=f"a card that does not fit ({where}: {first['msg']})",
            expected=f"a {CARD_NAME} of format 1, kind {kind.model_fields['kind'].default}",
            do="Use a bundle of this kind made for this version of spinelift, or update spinelift.",
        ) from error
    except KeyError as error:
        raise _damaged(f"a bundle without {error.args[0]}", "every file that its card names") from None
    for name, expected in card.files.items():
        if (got := hashlib.sha256(files[name]).hexdigest()) != expected:
            raise _damaged(f"{name} with SHA-256 {got[:12]}…", f"{expected[:12]}… as the card says")
    ref = BundleRef(card.name, card.version, hashlib.sha256(raw).hexdigest())
    networks = {name: files[f"{name}.onnx"] for name in card.preprocessing.signatures()}
    return Bundle(card, ref, networks, files.get(PEOPLE, b""))


def _damaged(found: str, expected: str) -> BundleError:
    return BundleError(found=found, expected=expected, do="Copy or install the bundle again.")
