"""Which archives belong together: participants and visits by UK Biobank's file names."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from spinelift.errors import NoScansError
from spinelift.io.ukb_names import DIXON_FIELD, DXA_FIELD, UkbName, visit_key

VisitId = tuple[int, int]
"""Participant and instance."""

_EXPECTED = f"<eid>_{DXA_FIELD}_<instance>_<array>.zip and <eid>_{DIXON_FIELD}_<instance>_<array>.zip"
_NIFTI = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_LABELS = re.compile(rf"([0-9]+)(?:_{DIXON_FIELD})?_([0-9]+)(?![0-9])")


@dataclass(frozen=True)
class Visit:
    """One participant on one day; ``None`` where there is no archive. Of several, the lowest array."""

    eid: int
    instance: int
    dxa: Path | None
    mri: Path | None
    labels: tuple[Path, ...] = ()

    @property
    def key(self) -> str:
        """``<eid>_<instance>``."""
        return visit_key(self.eid, self.instance)

    @property
    def fingerprint(self) -> str:
        """Changes when a file is replaced: names, sizes and times of modification."""
        files = [p for p in (self.dxa, self.mri, *self.labels) if p is not None]
        return "|".join(f"{p.name}:{(s := p.stat()).st_size}:{s.st_mtime_ns}" for p in files)


@dataclass(frozen=True)
class PairedVisit:
    """One participant on one day, with both archives."""

    key: str
    dxa: Path
    mri: Path


@dataclass(frozen=True)
class Found:
    """Visits in order of participant and instance, and numbers of files that were passed over, by reason."""

    visits: tuple[Visit, ...]
    ignored: Counter[str]


def find_archives(folder: Path, field: int) -> tuple[dict[VisitId, Path], Counter[str]]:
    """Zips of one data field below a folder, at any depth, by visit, and numbers of the zips passed over.

    Raises NoScansError if the folder is missing.
    """
    if not folder.is_dir():
        found_none = f"no folder {folder.name or folder}"
        raise NoScansError(found=found_none, expected="a folder of archives", do="Check the path.")
    found: dict[VisitId, tuple[int, str, Path]] = {}
    ignored: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.[zZ][iI][pP]")):
        name = UkbName.parse(path)
        if name is None or name.field != field:
            ignored["with names of another kind"] += 1
        elif not path.is_file():
            ignored["that are broken links or folders"] += 1
        else:
            visit, candidate = (name.eid, name.instance), (name.array, str(path), path)
            ignored["of a visit that has another archive"] += visit in found
            found[visit] = min(found.get(visit, candidate), candidate)
    return {visit: path for visit, (_, _, path) in found.items()}, +ignored


def find_visits(dxa: Path, mri: Path, labels: Path | None = None) -> Found:
    """Pair the archives of two folders (searched to any depth), and segmentations made elsewhere.

    A visit with one archive alone is listed too: it becomes a row with its cause. Raises NoScansError if a
    folder is missing, or if neither holds any archive.
    """
    of_dxa, ignored = find_archives(dxa, DXA_FIELD)
    of_mri, others = find_archives(mri, DIXON_FIELD)
    ignored += others
    if not of_dxa and not of_mri:
        raise NoScansError(
            found=f"no archive among {ignored.total()} files", expected=_EXPECTED, do="Check both folders."
        )
    maps = find_labels(labels) if labels else {}
    visits = [
        Visit(*visit, of_dxa.get(visit), of_mri.get(visit), maps.get(visit_key(*visit), ()))
        for visit in sorted(of_dxa.keys() | of_mri.keys())
    ]
    return Found(tuple(visits), ignored)


def paired_visits(cohort: Path) -> list[PairedVisit]:
    """Visits with both archives, in ``dxa/`` and ``mri/`` of a cohort folder; raises NoScansError if none."""
    visits = find_visits(cohort / "dxa", cohort / "mri").visits
    paired = [PairedVisit(v.key, v.dxa, v.mri) for v in visits if v.dxa and v.mri]
    if not paired:
        raise NoScansError(
            found=f"no visit with both archives in {cohort.name or cohort}",
            expected=f"{_EXPECTED}, in dxa/ and mri/",
            do="Check the path, or simulate a cohort: spinelift simulate cohort.",
        )
    return paired


def find_labels(folder: Path) -> dict[str, tuple[Path, ...]]:
    """NIfTI by visit: named ``<eid>_<instance>…`` or ``<eid>_20201_<instance>_<array>…``; no water or fat.

    The folder is searched to any depth.
    """
    out: dict[str, tuple[Path, ...]] = {}
    for path in sorted(folder.rglob("*")):
        match = _LABELS.match(path.name) if _NIFTI.search(path.name) else None
        if match and not re.search(r"_(water|fat)\.", path.name) and path.is_file():
            key = visit_key(int(match[1]), int(match[2]))
            out[key] = (*out.get(key, ()), path)
    return out
