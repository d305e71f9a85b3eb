"""Which archives belong together: people and visits by UK Biobank's file names."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spinelift.errors import NoScansError

DXA_FIELD, MRI_FIELD = 20158, 20201
_NAME = re.compile(
    r"(?P<eid>\d{1,18})_(?P<field>\d{1,6})_(?P<instance>\d{1,3})_(?P<array>\d{1,3})\.zip", re.ASCII
)


@dataclass(frozen=True)
class Visit:
    """One person on one day; ``None`` where there is no archive. Several of a field: the lowest array."""

    eid: int
    instance: int
    dxa: Path | None
    mri: Path | None
    labels: Path | None = None

    @property
    def key(self) -> str:
        """``<eid>_<instance>``."""
        return f"{self.eid}_{self.instance}"

    @property
    def fingerprint(self) -> str:
        """Changes when a file is replaced: names, sizes and times of modification."""
        files = [p for p in (self.dxa, self.mri, self.labels) if p is not None]
        return "|".join(f"{p.name}:{(s := p.stat()).st_size}:{s.st_mtime_ns}" for p in files)


@dataclass(frozen=True)
class Found:
    """Visits in order of person and instance, and files whose names say nothing."""

    visits: tuple[Visit, ...]
    unknown: tuple[str, ...]


def find_visits(dxa: Path, mri: Path, labels: Path | None = None) -> Found:
    """Pair the archives of two folders (searched to any depth), and segmentations made elsewhere.

    A visit with one archive alone is listed too: it becomes a row with its cause.

    Raises
    ------
    NoScansError
        A folder is missing, or neither holds any archive.
    """
    by_visit: dict[tuple[int, int], dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    unknown = []
    for folder, field in ((dxa, DXA_FIELD), (mri, MRI_FIELD)):
        if not folder.is_dir():
            raise NoScansError(
                found=f"no folder {folder}", expected="a folder of archives", do="Check --dxa and --mri."
            )
        for path in sorted(folder.rglob("*.zip")):
            match = _NAME.fullmatch(path.name)
            if match is None or int(match["field"]) != field:
                unknown.append(path.name)
            else:
                by_visit[int(match["eid"]), int(match["instance"])][field].append(path)
    if not by_visit:
        raise NoScansError(
            found=f"no archive among {len(unknown)} files",
            expected=f"<eid>_{DXA_FIELD}_<instance>_<array>.zip and <eid>_{MRI_FIELD}_<instance>_<array>.zip",
            do="Check --dxa and --mri.",
        )
    maps = _labels(labels.rglob("*.nii*")) if labels else {}
    visits = [
        Visit(*who, _first(files[DXA_FIELD]), _first(files[MRI_FIELD]), maps.get(f"{who[0]}_{who[1]}"))
        for who, files in sorted(by_visit.items())
    ]
    return Found(tuple(visits), tuple(unknown))


def _first(paths: list[Path]) -> Path | None:
    return min(paths, key=lambda p: (int(p.stem.rsplit("_", 1)[1]), str(p)), default=None)


def _labels(paths: Iterable[Path]) -> dict[str, Path]:
    """Label maps by visit: named ``<eid>_<instance>…`` or ``<eid>_20201_<instance>_<array>…``."""
    out: dict[str, Path] = {}
    for path in sorted(paths):
        match = re.match(rf"(\d+)(?:_{MRI_FIELD})?_(\d+)(?!\d)", path.name)
        if match:
            out.setdefault(f"{match[1]}_{match[2]}", path)
    return out
