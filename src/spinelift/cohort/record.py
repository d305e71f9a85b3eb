"""Result of one visit, and its file until the store is written.

A part is one ``.npz`` with a checksum, written atomically: JSON, and arrays where the visit got so far. The
manifest and the store are made from the parts, and can be made again.
"""

import json
import os
import re
import zipfile
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from traceback import extract_tb
from typing import Any

import numpy as np

from spinelift.errors import SpineliftError
from spinelift.files import UNSEALED, damaged, make_folder, read_sealed, seal, write_whole
from spinelift.geometry.arrays import Float32, UInt8
from spinelift.io.ukb_names import visit_key
from spinelift.io.visits import Visit

STAGES = ("pair", "dxa", "dxa_mask", "mri", "mri_mask", "align", "overlap", "curves")
"""In order. ``overlap`` is the filter: a pair that does not overlap enough is rejected, not failed. The DXA's
mask comes before the MRI, so that the Ferguson angle is known of visits that fail later."""
STATUSES = DONE, REJECTED, FAILED = "done", "rejected", "failed"
FORMAT = 4
"""Of a part; another one is made again."""


@dataclass(frozen=True)
class Record:
    """Result of one visit; names, hashes and errors are "" where there are none.

    ``fingerprint``: ``Visit.fingerprint`` when this was made; with another one it is made again.
    ``settings``: ``Settings.load_and_hash``, what the result depends on besides the files.
    ``stage``: the last one that was reached: where it failed, was rejected, or ended.
    ``error``, ``message``: class and text of the error.
    ``values``: numbers of the stages: ferguson_deg (of the DXA's mask), rotation_deg, dx_mm, dz_mm,
    iou, …
    ``findings``: defects of the MRI that were corrected or reported.
    ``image``, ``curves``, ``outlines``, ``lines``: crop uint8 [224, 224]; curves float32 [6, 209] in crop px;
    both masks on the crop, bits packed [2, 224, 28]; centre lines of DXA and MRI (``align.match``), float32
    [2, 101]. None where the visit did not get so far.
    """

    eid: int
    instance: int
    dxa_name: str
    mri_name: str
    fingerprint: str
    settings: str
    status: str
    stage: str
    dxa_sha256: str = ""
    mri_sha256: str = ""
    error: str = ""
    message: str = ""
    values: dict[str, float] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    image: UInt8 | None = field(default=None, repr=False)
    curves: Float32 | None = field(default=None, repr=False)
    outlines: UInt8 | None = field(default=None, repr=False)
    lines: Float32 | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """``<eid>_<instance>``."""
        return visit_key(self.eid, self.instance)

    def stage_status(self, stage: str) -> str:
        """``done``, ``failed``, ``rejected``, or "" where it was never reached."""
        asked, last = STAGES.index(stage), STAGES.index(self.stage)
        if asked < last:
            return DONE
        return self.status if asked == last else ""


ARRAYS = ("image", "curves", "outlines", "lines")
_PART = re.compile(r"([0-9]+)_([0-9]+)")


def visit_fields(visit: Visit, settings: str) -> dict[str, Any]:
    """Fields of a record that are known before the visit's archives are read."""
    dxa_name, mri_name = (path.name if path else "" for path in (visit.dxa, visit.mri))
    names = {"dxa_name": dxa_name, "mri_name": mri_name}
    return {"eid": visit.eid, "instance": visit.instance, **names, "settings": settings}


def failed_record(visit: Visit, error: Exception, settings: str) -> Record:
    """The record of a visit whose process died, or whose task could not be run for another cause."""
    known = visit_fields(visit, settings) | {"fingerprint": "", "stage": "pair"}
    with suppress(OSError):  # an archive may be gone by now
        known["fingerprint"] = visit.fingerprint
    return Record(**known | failure(error, (visit.dxa, visit.mri)))


def part_path(parts: Path, key: str) -> Path:
    """Path of a part: 256 sub-folders, so that no folder holds more than a few hundred files."""
    return parts / blake2b(key.encode(), digest_size=1).hexdigest() / f"{key}.npz"


def write_part(parts: Path, record: Record) -> None:
    """Write a part atomically; its message names no folders, whoever wrote it."""
    path = part_path(parts, record.key)
    make_folder(path.parent)
    document = {k: v for k, v in asdict(record).items() if k not in ARRAYS} | {"format": FORMAT}
    document["message"] = without_folders(record.message)
    arrays = {name: array for name in ARRAYS if (array := getattr(record, name)) is not None}
    text = np.frombuffer(json.dumps(document, sort_keys=True).encode(), np.uint8)
    file = BytesIO()
    np.savez_compressed(file, record=text, **arrays)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = UNSEALED
    write_whole(path, seal(file.getvalue()))


def read_part(path: Path, *, arrays: Collection[str] = ARRAYS) -> Record:
    """Read a part with the given arrays; DamagedFileError if it is missing, changed or of another version."""
    do = "Run the build again: it makes this visit again."
    data = read_sealed(path, do=do)
    with np.load(BytesIO(data), allow_pickle=False) as held:
        document: dict[str, Any] = json.loads(held["record"].tobytes())
        found = {name: held[name] for name in arrays if name in held.files}
    if (version := document.pop("format")) != FORMAT:
        raise damaged(path, f"format {version} instead of {FORMAT}", do)
    record = Record(**document, **found)
    if record.key != path.stem:
        raise damaged(path, "it is of another visit", do)
    return record


def all_parts(parts: Path) -> list[Path]:
    """Every part, in order of person and visit."""
    numbers = {p: match.groups() for p in parts.glob("??/*.npz") if (match := _PART.fullmatch(p.stem))}
    return sorted(numbers, key=lambda p: tuple(map(int, numbers[p])))


def failure(error: Exception, paths: Iterable[Path | str | None]) -> dict[str, str]:
    """Class and text of an error, for a record: no folders of ``paths`` or others, and nothing of a header.

    The text of an error that is not ours may hold anything, so the place in the code is given instead.
    """
    if isinstance(error, SpineliftError):
        message = str(error)
        for folder in {Path(path).parent for path in paths if path}:
            if folder.is_absolute() and folder.name:
                message = message.replace(f"{folder}{os.sep}", "").replace(f"{folder}", folder.name)
    else:
        where = extract_tb(error.__traceback__)
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "unexpected error"
        message = (
            f"{cause}, in line {where[-1].lineno} of {Path(where[-1].filename).name}" if where else cause
        )
    return {"status": FAILED, "error": type(error).__name__, "message": without_folders(message)}


_FOLDERS = re.compile(
    r"""\w+://[^\s'",;]+  # an address
    |(?<![\w.])(?:[A-Za-z]:)?[\\/](?=\S)  # a root, and all up to the last separator of the sentence
    (?:(?:(?!\.\s)[^'"\n])*[\\/])?""",
    re.VERBOSE,
)


def without_folders(text: str) -> str:
    """A text in which absolute paths are their last parts, and addresses are left out."""
    return _FOLDERS.sub("", text)
