"""Which of the paths on a command line are scans.

The rule, in order: a file is a scan. In a folder, and in the folders below it, each PNG, each TIFF and
each zip is a scan (but zips whose UK Biobank name is of another field are skipped); the DICOM files
that lie directly in one folder are one scan together, the visit, unless no two of them share patient and
day: then each is a scan by itself. Files without an image, such as a DICOMDIR, make no scan. Hidden files and
folders, links to folders, and results of spinelift (a folder with ``curves.json``, a contact sheet) are
passed over.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path

from spinelift.errors import HostileArchiveError, NoScansError, TruncatedDicomError, UnsupportedImageError
from spinelift.io.dicom import read_header
from spinelift.io.inputs import FileKind, kind_of_bytes, read_bounded, read_head
from spinelift.io.ukb_names import DXA_FIELD, UkbName

RESULT_MARK = "curves.json"
"""A folder that holds it is a result of spinelift."""
SHEET_MARK = "contact.png"
"""Contact sheet of an output folder, beside its ``summary.csv``: no scan."""
_BROKEN, _LINK, _OTHER, _RESULT = "broken link", "link to a folder", "file of another kind", "earlier result"


@dataclass
class Found:
    """What a search found: scans in order, paths without any and why, and how much was passed over."""

    scans: dict[Path, None] = field(default_factory=dict)
    failed: list[tuple[Path, NoScansError]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def find_scans(paths: Iterable[str | PathLike[str]]) -> list[Path]:
    """Expand files, folders and patterns to the paths that ``read_dxa`` takes, in order, without repeats.

    Raises
    ------
    NoScansError
        A path does not exist or cannot be read, or a folder holds nothing that could be a scan.
    """
    found = search_scans(paths)
    if found.failed:
        raise found.failed[0][1]
    return list(found.scans)


def search_scans(paths: Iterable[str | PathLike[str]]) -> Found:
    """As :func:`find_scans`, but a path without scans is listed with its error instead of raised."""
    found = Found()
    for name in paths:
        given = Path(name)
        if not fspath(name):
            _fail(found, given, "an empty path")
            continue
        pattern = glob.has_magic(str(given)) and not os.path.lexists(given)
        matches = glob.glob(str(given), recursive=True) if pattern else [given]  # noqa: PTH207 (absolute)
        if not matches:
            _fail(found, given, f"no path that matches {given.name}")
        for path in sorted(map(Path, matches)):
            try:
                _add(path, found)
            except OSError as error:
                _fail(found, path, f"{path.name}, which cannot be read ({error.strerror})")
    return found


def dicom_files(folder: Path) -> list[Path]:
    """DICOM files directly in a folder, sorted by name; hidden files are skipped."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    return [file for file in files if kind_of_bytes(read_head(file), file.suffix) is FileKind.DICOM]


def _fail(found: Found, path: Path, what: str) -> None:
    expected = "zips, DICOM files, PNGs or TIFFs, or folders of them"
    found.failed.append((path, NoScansError(found=what, expected=expected, do="Check the path.")))


def _add(path: Path, found: Found) -> None:
    """Add one path of the command line; a folder without any scan is a failure."""
    name = path.name or path
    if not path.is_dir():
        path.stat()  # an OSError if it is missing or a broken link
        found.scans[path] = None
        return
    failed, results = len(found.failed), found.ignored[_RESULT]
    if not _search(path, found) and len(found.failed) == failed:
        only = "earlier results alone" if found.ignored[_RESULT] > results else "nothing that could be a scan"
        _fail(found, path, f"{only} at {name}")


def _search(folder: Path, found: Found) -> int:
    """Add the scans in a folder and below it; returns their number, with those that were found before."""
    files, folders = _contents(folder, found)
    if folder / RESULT_MARK in files:
        found.ignored[_RESULT] += 1
        return 0
    if folder / "summary.csv" in files and folder / SHEET_MARK in files:
        files.remove(folder / SHEET_MARK)
        found.ignored[_RESULT] += 1
    kinds = {file: _kind(file) for file in files}
    dicoms = [file for file, kind in kinds.items() if kind is FileKind.DICOM]
    scans = [file for file, kind in kinds.items() if kind is FileKind.PICTURE or _may_be_dxa_zip(file, kind)]
    found.ignored[_OTHER] += len(files) - len(scans) - len(dicoms)
    scans += _dicom_scans(folder, dicoms)
    found.scans.update(dict.fromkeys(scans))
    count = len(scans)
    for below in folders:
        try:
            count += _search(below, found)
        except OSError as error:
            _fail(found, below, f"a folder {below.name} that cannot be read ({error.strerror})")
    return count


def _contents(folder: Path, found: Found) -> tuple[list[Path], list[Path]]:
    """Files and folders in a folder, sorted, without those that are passed over."""
    files, folders = [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.is_symlink():
                found.ignored[_LINK] += 1
            else:
                folders.append(path)
        elif path.is_file():
            files.append(path)
        else:
            found.ignored[_BROKEN if path.is_symlink() else _OTHER] += 1
    return files, folders


def _kind(file: Path) -> FileKind:
    """Kind by content; by its suffix alone if it cannot be read, so that reading it fails as one scan."""
    try:
        return kind_of_bytes(read_head(file), file.suffix)
    except OSError:
        return kind_of_bytes(b"", file.suffix)


def _may_be_dxa_zip(file: Path, kind: FileKind) -> bool:
    name = UkbName.parse(file)
    return kind is FileKind.ZIP and (name is None or name.field == DXA_FIELD)


def _dicom_scans(folder: Path, files: list[Path]) -> list[Path]:
    visits: dict[Path, tuple[str, str]] = {}
    for file in files:
        try:
            header = read_header(read_bounded(file))
        except (TruncatedDicomError, UnsupportedImageError, HostileArchiveError, OSError):
            return [folder] if len(files) > 1 else files
        if header is not None:
            visits[file] = header.visit
    if len(visits) > 1 and len(set(visits.values())) == len(visits):
        return list(visits)
    return [folder] if visits and len(files) > 1 else list(visits)
