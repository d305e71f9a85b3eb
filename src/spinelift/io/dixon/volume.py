"""A stitched Dixon MRI as the rest of the package knows it, and what was found on the way to it."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

GRID_MM = 2.0
"""Voxel size, mm, isotropic."""
GRID_SHAPE = (700, 224, 224)
"""Voxels (head–foot, front–back, left–right): ``shared`` size of the method; it holds a body of 1.1 m."""


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


class Action(StrEnum):
    """What was done about it. What is refused is an error, not a finding."""

    MENDED = "mended"
    REPORTED = "reported"


@dataclass(frozen=True)
class Finding:
    """One trap in one place.

    Parameters
    ----------
    trap, action
        What, and what was done.
    station
        Number of the station from the head, 1-based; 0 for the whole body. Of two neighbours, the upper.
    detail
        Numbers in plain words; nothing personal.
    """

    trap: Trap
    station: int
    action: Action
    detail: str


@dataclass(frozen=True)
class DixonVolume:
    """Water and fat of one body, neck to knee.

    Parameters
    ----------
    spine_id
        Pseudonym: ``<eid>_<instance>`` for UK Biobank names, else ``mri-`` and 12 hex digits of the hash.
    water, fat
        float32 [z, y, x] on the isotropic 2.0 mm grid of 700×224×224 voxels: z to the feet, y to
        posterior, x to the patient's left; 0 where nothing was measured.
    origin_mm
        (x, y, z) of the centre of voxel (0, 0, 0), project axes: z to the feet (minus DICOM's z).
    rows
        (first, last + 1) of the z rows that were measured; the rest is padding.
    findings
        Traps that were mended or reported, head to feet.
    """

    spine_id: str
    water: NDArray[np.float32]
    fat: NDArray[np.float32]
    origin_mm: tuple[float, float, float]
    rows: tuple[int, int]
    findings: tuple[Finding, ...] = ()

    @property
    def affine(self) -> NDArray[np.float64]:
        """[4, 4]: voxel index (x, y, z, 1) → DICOM patient mm (LPS, z to the head).

        For NIfTI transpose the arrays to [x, y, z] and negate the first two rows (``io.nifti`` does).
        """
        x, y, z = self.origin_mm
        affine = np.diag([GRID_MM, GRID_MM, -GRID_MM, 1.0])
        affine[:3, 3] = x, y, -z
        return affine
