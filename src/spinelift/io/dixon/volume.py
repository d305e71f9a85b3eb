"""The stitched Dixon MRI that the readers return, and what they found in its archive."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from spinelift.geometry.arrays import Float, Float32
from spinelift.io.identity import NOBODY, Identity


@dataclass(frozen=True)
class StitchGrid:
    """The isotropic grid that stations are stitched to; the default size holds a body of 1.1 m.

    ``shape`` is [z, y, x]: head to foot, front to back, right to left. Stations are compared on coarse pixels
    of ``coarse`` voxels each way in plane; the default is 8 mm.
    """

    voxel_mm: float = 2.0
    shape: tuple[int, int, int] = (700, 224, 224)
    coarse: int = 4


STITCH_GRID = StitchGrid()
"""The grid of the method, on which the shipped networks were trained."""


class Trap(StrEnum):
    """What can be wrong with a Dixon scan."""

    DUPLICATE_STATION = "duplicate station"
    MISSING_STATION = "missing station"
    GAP = "gap between stations"
    UNEQUAL_LENGTHS = "fat and water of different length"
    LOST_SLICE = "slice lost inside a station"
    END_SLICES = "dark, ghosted or folded end slices"
    SWAP = "fat and water swapped"
    INTENSITY_STEP = "intensity step between stations"
    BREATHING_OFFSET = "breathing offset between stations"
    SIGNAL_VOID = "signal void (metal)"
    CUT_ARMS = "body cut by the field of view"
    OTHER_IMAGES = "images that are no Dixon series"
    OTHER_NAME = "name of the archive and PatientID differ"


class Action(StrEnum):
    """What was done about it. What is refused is an error, not a finding."""

    CORRECTED = "corrected"
    REPORTED = "reported"


@dataclass(frozen=True)
class Finding:
    """One trap in one place, and what was done about it.

    ``station`` is the number from the head, 1-based, of two neighbours the upper; 0 is the whole body.
    ``detail`` is a sentence with the numbers (nothing personal), ``values`` has them by name; the name ends
    with the unit, if there is one.
    """

    trap: Trap
    station: int
    action: Action
    detail: str
    values: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, trap: Trap, station: int, action: Action, sentence: str, **values: float) -> "Finding":
        """A finding whose sentence is a format string over its values, such as ``"{gap_mm:.1f} mm"``."""
        plain = {name: round(float(value), 3) for name, value in values.items()}
        return cls(trap, station, action, sentence.format(**values), plain)


@dataclass(frozen=True)
class DixonVolume:
    """Water and fat of one body, neck to knee.

    Parameters
    ----------
    mri_id
        Pseudonym: ``<eid>_<instance>`` for UK Biobank names, else ``mri-`` and 12 hex digits of ``sha256``.
    water, fat
        float32 [z, y, x] on an isotropic grid, ``STITCH_GRID`` by default: z to the feet, y to posterior,
        x to the patient's left; 0 where nothing was measured.
    origin_mm
        (x, y, z) of the centre of voxel (0, 0, 0), project axes: z to the feet (minus DICOM's z).
    rows
        (first, last + 1) of the z rows that were measured; the rest is padding.
    findings
        Traps that were corrected or reported, head to feet.
    voxel_mm
        Voxel size, mm.
    sha256
        Hash of the archive that was read; empty for a volume of another origin.
    identity
        Patient of the header, to be compared with another archive's; it shows nothing.
    """

    mri_id: str
    water: Float32
    fat: Float32
    origin_mm: tuple[float, float, float]
    rows: tuple[int, int]
    findings: tuple[Finding, ...] = ()
    voxel_mm: float = STITCH_GRID.voxel_mm
    sha256: str = ""
    identity: Identity = field(default=NOBODY, repr=False, compare=False)

    @property
    def affine(self) -> Float:
        """[4, 4]: voxel index (x, y, z, 1) → DICOM patient mm (LPS, z to the head).

        For NIfTI transpose the arrays to [x, y, z] and negate the first two rows (``io.nifti`` does).
        """
        x, y, z = self.origin_mm
        affine = np.diag([self.voxel_mm, self.voxel_mm, -self.voxel_mm, 1.0])
        affine[:3, 3] = x, y, -z
        return affine
