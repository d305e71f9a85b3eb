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
from typing import BinaryIO, Generic, TypeVar, cast

from pydantic import ValidationError

from spinelift.bundle.card import CARD_NAME, Card, Metric
from spinelift.bundle.kinds import EncodersCard, LvaCard, MriSegmenterCard, PredictionCard
from spinelift.bundle.session import OnnxNetwork
from spinelift.errors import BundleError
from spinelift.files import Bounded, file_sha256, write_whole

SHIPPED = Path(__file__).parents[1] / "bundles"
"""Folder of the sets that come with spinelift, one folder a set."""
PEOPLE = "people.bin"
"""File of a set, and of a training run, with the hashes of the people that the networks have seen."""
MAX_FILE_BYTES, MAX_CARD_BYTES = 512 << 20, 16 << 20
"""Largest content of a set, all files that its card names together, and largest card."""
MAX_FILES = 1000
_MAX_RATIO, _RATIO_FROM = 200, 4 << 20
_DIRECTORY_BYTES_A_FILE = 512
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
        kinds: tuple[type[Card], ...] = (PredictionCard, MriSegmenterCard, EncodersCard, LvaCard)
        try:
            named = json.loads(_read(files, CARD_NAME, most=MAX_CARD_BYTES)[CARD_NAME])["kind"]
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
            with path.open("rb") as file:
                bounded = Bounded(file, MAX_FILES * _DIRECTORY_BYTES_A_FILE)
                with zipfile.ZipFile(cast(BinaryIO, bounded)) as archive:
                    bounded.most = None
                    members = {PurePosixPath(m.filename).name: m for m in archive.infolist()}
                    yield {name: (m.file_size, partial(_member, archive, m)) for name, m in members.items()}
            return
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, ValueError, zlib.error) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise _damaged(f"a damaged file ({why}) where the bundle should be", "a folder or zip") from None
    raise BundleError(
        found=f"no bundle at {path.name}",
        expected=f"a folder or a zip with {CARD_NAME}",
        do="Check the path; without one the networks that come with spinelift are used.",
    )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Content of a file in a zip; a ValueError if it is not what the table of contents says."""
    if info.file_size > max(_RATIO_FROM, _MAX_RATIO * info.compress_size):
        raise ValueError
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ValueError
    return data


def write_card(folder: Path, card: Card) -> None:
    """Write ``card.json`` beside the files that it names, in one step."""
    write_whole(folder / CARD_NAME, card.model_dump_json(indent=1) + "\n")


def add_metrics(kind: type[CardT], folder: Path, metrics: Sequence[Metric]) -> CardT:
    """Put figures into the card of a folder (not a zip); earlier ones of the same data sets go."""
    if not folder.is_dir():
        raise BundleError(
            found=f"no folder {folder.name}", expected="a bundle's folder, not a zip", do="Unzip it first."
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


def _read(contents: _Files, *names: str, most: int) -> dict[str, bytes]:
    if sum(contents[name][0] for name in names) > most:
        raise BundleError(
            found=f"a bundle whose files are too large ({', '.join(names)[:200]})",
            expected=f"at most {most >> 20} MB",
            do="Do not trust this file; ask where it comes from.",
        )
    return {name: contents[name][1]() for name in names}


def _verified(kind: type[CardT], contents: _Files) -> Bundle[CardT]:
    try:
        raw = _read(contents, CARD_NAME, most=MAX_CARD_BYTES)[CARD_NAME]
        card = kind.model_validate_json(raw)
        files = _read(contents, *card.files, most=MAX_FILE_BYTES)
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
