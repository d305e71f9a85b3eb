"""A model bundle, read from a folder or a zip with every hash checked. No pickles anywhere."""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from spinelift.bundle.card import CARD_NAME, REGRESSOR_NAME, SEGMENTER_NAME, Card, Preprocessing
from spinelift.errors import BundleError

DEFAULT_BUNDLE = Path(__file__).parents[1] / "bundles" / "default"
"""The bundle that ships in the wheel."""
MAX_FILE_BYTES = 1 << 30


@dataclass(frozen=True)
class BundleRef:
    """Which bundle made a result. ``sha256`` is the hash of its card, which holds all other hashes."""

    name: str
    version: str
    sha256: str

    def to_json(self) -> dict[str, str]:
        """As it stands in ``curves.json``."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its card and the two networks as ONNX bytes."""

    card: Card
    ref: BundleRef
    segmenter: bytes
    regressor: bytes

    @classmethod
    def load(cls, path: Path | str | None = None) -> "Bundle":
        """Read and verify a bundle folder or zip; None is the default bundle.

        Raises
        ------
        BundleError
            When it is missing, incomplete, altered, or made for other preprocessing.
        """
        path = DEFAULT_BUNDLE if path is None else Path(path)
        if path.is_dir():
            return _load_folder(path)
        if path.is_file():
            return _load_zip(path)
        raise BundleError(
            found=f"no model bundle at {path}",
            expected=f"a folder or a zip with {CARD_NAME}",
            do="Check --bundle; without it the default bundle that comes with spinelift is used.",
        )


def write_card(folder: Path, card: Card) -> None:
    """Write ``card.json`` beside the files that it names, in one step."""
    partial = folder / f".{CARD_NAME}.partial"
    partial.write_bytes(card.to_bytes())
    partial.replace(folder / CARD_NAME)


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a bundle folder but its card, by name: the card's ``files``."""
    return {
        item.name: hashlib.sha256(item.read_bytes()).hexdigest()
        for item in sorted(folder.iterdir())
        if item.is_file() and item.name != CARD_NAME and not item.name.startswith(".")
    }


def _load_folder(folder: Path) -> Bundle:
    raw = _card_bytes(folder / CARD_NAME)
    card = _parse(raw)
    files = {}
    for name in card.files:
        item = folder / name
        if not item.is_file():
            raise _missing(name)
        files[name] = item.read_bytes()
    return _verified(card, raw, files)


def _card_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise _missing(CARD_NAME)
    return path.read_bytes()


def _load_zip(path: Path) -> Bundle:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {Path(n).name: n for n in archive.namelist() if not n.endswith("/")}
            if CARD_NAME not in names:
                raise _missing(CARD_NAME)
            raw = _member(archive, names[CARD_NAME])
            card = _parse(raw)
            files = {}
            for name in card.files:
                if name not in names:
                    raise _missing(name)
                files[name] = _member(archive, names[name])
    except (zipfile.BadZipFile, EOFError) as error:
        raise BundleError(
            found=f"a damaged file ({error}) where the bundle should be",
            expected="a folder or a zip",
            do="Copy the bundle again.",
        ) from error
    return _verified(card, raw, files)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MAX_FILE_BYTES:
        raise BundleError(
            found=f"a bundle file {name} of more than 1 GiB", expected="less", do="Copy the bundle again."
        )
    return archive.read(name)


def _parse(raw: bytes) -> Card:
    try:
        card = Card.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or CARD_NAME
        raise BundleError(
            found=f"a card that does not fit ({where}: {first['msg']})",
            expected="a card.json of format 1",
            do="Use a bundle made for this version of spinelift, or update spinelift.",
        ) from error
    if card.preprocessing != Preprocessing():
        raise BundleError(
            found=f"a bundle made for other preprocessing ({card.preprocessing})",
            expected=f"{Preprocessing()}",
            do="Use a bundle made for this version of spinelift.",
        )
    return card


def _verified(card: Card, raw: bytes, files: Mapping[str, bytes]) -> Bundle:
    for name, expected in card.files.items():
        got = hashlib.sha256(files[name]).hexdigest()
        if got != expected:
            raise BundleError(
                found=f"{name} with SHA-256 {got[:12]}…",
                expected=f"{expected[:12]}… as the card says",
                do="The bundle was altered or cut: copy or install it again.",
            )
    ref = BundleRef(card.name, card.version, hashlib.sha256(raw).hexdigest())
    return Bundle(card, ref, files[SEGMENTER_NAME], files[REGRESSOR_NAME])


def _missing(name: str) -> BundleError:
    return BundleError(
        found=f"a bundle without {name}",
        expected="every file that its card names",
        do="Copy or install the bundle again.",
    )
