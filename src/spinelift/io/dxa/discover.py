"""Which of the paths on a command line are scans.

The rule, in order: a file is a scan. In a folder, and in the folders below it, each PNG, each TIFF and
each zip is a scan (but zips whose UK Biobank name is of another field are skipped); the DICOM files
that lie directly in one folder are one scan together, the visit, unless no two of them share patient and
day: then each is a scan by itself. Files without an image, such as a DICOMDIR, make no scan.
"""

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

from spinelift.errors import HostileArchiveError, NoScansError, TruncatedDicomError, UnsupportedImageError
from spinelift.io.dicom import read_header
from spinelift.io.inputs import FileKind, kind_of_bytes, read_bounded, read_head
from spinelift.io.ukb_names import DXA_FIELD, UkbName


def find_scans(paths: Iterable[str | PathLike[str]]) -> list[Path]:
    """Expand files and folders to the paths that ``read_dxa`` takes, in order and without repeats.

    Raises
    ------
    NoScansError
        A path does not exist, or a folder holds nothing that could be a scan.
    """
    scans: dict[Path, None] = {}
    for path in map(Path, paths):
        found = list(_scans_below(path)) if path.is_dir() else [path]
        if not found or not path.exists():
            raise NoScansError(
                found=f"nothing that could be a scan at {path.name or path}",
                expected="zips, DICOM files, PNGs or TIFFs, or folders of them",
                do="Check the path.",
            )
        scans.update(dict.fromkeys(found))
    return list(scans)


def dicom_files(folder: Path) -> list[Path]:
    """DICOM files directly in a folder, sorted by name; hidden files are skipped."""
    return [file for file, kind in _files(folder) if kind is FileKind.DICOM]


def _scans_below(folder: Path) -> Iterator[Path]:
    kinds = _files(folder)
    yield from (file for file, kind in kinds if kind is FileKind.PICTURE or _may_be_dxa_zip(file, kind))
    yield from _dicom_scans(folder, [file for file, kind in kinds if kind is FileKind.DICOM])
    for below in sorted(folder.iterdir()):
        if below.is_dir() and not below.is_symlink() and not below.name.startswith("."):
            yield from _scans_below(below)


def _may_be_dxa_zip(file: Path, kind: FileKind) -> bool:
    name = UkbName.parse(file)
    return kind is FileKind.ZIP and (name is None or name.field == DXA_FIELD)


def _files(folder: Path) -> list[tuple[Path, FileKind]]:
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    return [(file, kind_of_bytes(read_head(file), file.suffix)) for file in files]


def _dicom_scans(folder: Path, files: list[Path]) -> list[Path]:
    visits: dict[Path, tuple[str, str]] = {}
    for file in files:
        try:
            header = read_header(read_bounded(file))
        except (TruncatedDicomError, UnsupportedImageError, HostileArchiveError):
            return [folder] if len(files) > 1 else files
        if header is not None:
            visits[file] = header.visit
    if len(visits) > 1 and len(set(visits.values())) == len(visits):
        return list(visits)
    return [folder] if visits and len(files) > 1 else list(visits)
