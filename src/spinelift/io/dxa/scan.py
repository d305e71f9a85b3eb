"""The scan that the readers return: pixels, pixel size, its name, and nothing of the header's person."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float32
from spinelift.io.identity import NOBODY, Identity
from spinelift.io.ukb_names import DXA_FIELD, UkbName

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_TABLE = re.compile(r"\.(csv|parquet)$", re.IGNORECASE)
"""Ends of names that tables beside the results have."""
_MAX_ID = 80


@dataclass(frozen=True)
class DxaScan:
    """One total-body DXA.

    Parameters
    ----------
    scan_id
        Its name in results, as :func:`scan_id` makes it.
    bone
        Bone image, float32 [H, W], 0 (air) to 255; rows to the feet, columns to the patient's left.
    tissue
        Tissue image of the same shape, or None.
    spacing
        Pixel size, mm.
    sha256
        Hash of the file, or of the content in memory, that was read.
    warnings
        Remarks on the file for the reader of the result.
    identity
        Patient of the header, to be compared with another archive's; it shows nothing.
    """

    scan_id: str
    bone: Float32
    tissue: Float32 | None
    spacing: Spacing
    sha256: str
    warnings: tuple[str, ...] = ()
    identity: Identity = field(default=NOBODY, repr=False, compare=False)


def scan_id(path: Path, sha256: Callable[[], str]) -> str:
    """Name of a scan in results: letters, digits, dots, dashes and underscores, at most 80.

    ``<eid>_<instance>_<array>`` for a UK Biobank name, else the file's name without its suffix, other
    characters replaced by underscores; ``dxa-`` and 12 hex digits of its ``sha256`` if nothing remains.
    """
    name = UkbName.parse(path)
    if name is not None and name.field == DXA_FIELD:
        return name.item
    stem = path.name if path.suffix[1:].isdigit() else path.stem  # 1.2.840.10008 has no suffix
    plain = _UNSAFE.sub("_", stem).lstrip("._-")[:_MAX_ID].rstrip(".")
    return _TABLE.sub(r"_\1", plain) or f"dxa-{sha256()[:12]}"
