"""What becomes of one visit, and how it lies on disk until the store is written.

A part is one ``.npz`` that appears whole: JSON, and arrays where the visit got so far. Parts are the truth;
the manifest and the store are made from them and can be made again.
"""

import io
import json
import os
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STAGES = ("pair", "dxa", "mri", "dxa_mask", "mri_mask", "align", "overlap", "curves")
"""In order. ``overlap`` is the filter: a pair that does not overlap enough is rejected, not failed."""
DONE, FAILED, REJECTED = "done", "failed", "rejected"
FORMAT = 1


@dataclass(frozen=True)
class Record:
    """Result of one visit.

    Parameters
    ----------
    eid, instance, dxa_name, mri_name
        Who, which visit, and the names of the archives ("" for none).
    dxa_sha256, mri_sha256
        Hashes of the archives, hex; "" where they were not read.
    fingerprint
        ``Visit.fingerprint`` when this was made: another one means that it must be made again.
    settings
        Hash of what the result depends on besides the files.
    status
        ``DONE`` (kept), ``REJECTED`` or ``FAILED``.
    stage
        The last stage that was reached: where it failed, was rejected, or ended.
    error, message
        Class and text of the error; "" without one.
    values
        Numbers of the stages: rotation_deg, dx_mm, dy_mm, iou, ferguson_deg, …
    findings
        Traps of the MRI that were corrected or reported.
    warnings
        What a reader of the result ought to know.
    seconds
        Time of each stage.
    image, curves, outlines
        Crop uint8 [224, 224], curves float32 [6, 209] in crop px; both masks on the crop, bits packed
        [2, 224, 28]. None where the visit did not get so far.
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
    image: NDArray[np.uint8] | None = field(default=None, repr=False)
    curves: NDArray[np.float32] | None = field(default=None, repr=False)
    outlines: NDArray[np.uint8] | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """``<eid>_<instance>``."""
        return f"{self.eid}_{self.instance}"

    def stage_status(self, stage: str) -> str:
        """``done``, ``failed``, ``rejected``, or "" where it was never reached."""
        here, last = STAGES.index(stage), STAGES.index(self.stage)
        if here < last:
            return DONE
        return self.status if here == last else ""


ARRAYS = ("image", "curves", "outlines")


def part_path(parts: Path, key: str) -> Path:
    """Place of a part: 256 sub-folders, so that no folder holds more than a few hundred files."""
    return parts / blake2b(key.encode(), digest_size=1).hexdigest() / f"{key}.npz"


def write_part(parts: Path, record: Record) -> None:
    """Write a part so that it is there whole or not at all, whatever is killed when."""
    path = part_path(parts, record.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {k: v for k, v in asdict(record).items() if k not in ARRAYS} | {"format": FORMAT}
    arrays = {name: value for name in ARRAYS if (value := getattr(record, name)) is not None}
    text = np.frombuffer(json.dumps(document, sort_keys=True).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, record=text, **arrays)
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_part(path: Path, *, arrays: bool = True) -> Record:
    """Read a part; without ``arrays`` only its numbers."""
    with np.load(path, allow_pickle=False) as held:
        document: dict[str, Any] = json.loads(held["record"].tobytes())
        found = {name: held[name] for name in ARRAYS if arrays and name in held.files}
    document.pop("format")
    return Record(**document, **found)


def all_parts(parts: Path) -> list[Path]:
    """Every part, in order of person and visit."""
    paths = [p for p in parts.glob("??/*.npz") if not p.name.startswith(".")]
    return sorted(paths, key=lambda p: tuple(int(n) for n in p.stem.split("_")))
