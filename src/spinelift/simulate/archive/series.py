"""One series of a Dixon MRI, and the grids of the six stations."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Contrast = Literal["in", "opp", "F", "W"]
CONTRASTS: tuple[Contrast, ...] = ("in", "opp", "F", "W")
"""In-phase, opposed-phase, fat and water, in the order of their series numbers."""
PIXEL_MM = 2.232
"""Pixel size in plane, mm, square."""


@dataclass(frozen=True)
class StationPlan:
    """Grid of one station: columns, rows, slices, slice thickness (mm), breath held or not."""

    columns: int
    rows: int
    slices: int
    dz_mm: float
    breath_hold: bool


STATION_PLANS = (
    StationPlan(224, 168, 64, 3.0, False),
    StationPlan(224, 174, 44, 4.5, True),
    StationPlan(224, 174, 44, 4.5, True),
    StationPlan(224, 174, 44, 4.5, True),
    StationPlan(224, 162, 72, 3.5, False),
    StationPlan(224, 156, 64, 4.0, False),
)
"""The six stations, head to feet. Together 1,294 mm; a stitched body is about 1.1 m long, so neighbours
overlap by about 39 mm."""


@dataclass(frozen=True)
class DixonStation:
    """One series: one contrast of one station.

    Parameters
    ----------
    series_number
        ``SeriesNumber``; a repeat of a station has higher ones.
    breath_hold
        Decides the name: ``Dixon_BH_17s_…`` or ``Dixon_noBH_…``.
    volume
        uint16 [slices, rows, columns], the project's axes: slices to the feet, rows to posterior, columns
        to the patient's left.
    origin_mm
        (x, y, z) of the centre of voxel (0, 0, 0), DICOM patient axes: **z grows to the head**. Slice k
        lies at z − k·dz.
    spacing
        (dz, dy, dx), mm, all positive; dz is the distance of the slices and their thickness.
    acquisition_time
        ``AcquisitionTime``, seconds after midnight.
    """

    series_number: int
    contrast: Contrast
    breath_hold: bool
    volume: NDArray[np.uint16]
    origin_mm: tuple[float, float, float]
    spacing: tuple[float, float, float]
    acquisition_time: float

    @property
    def description(self) -> str:
        """``SeriesDescription``."""
        return f"Dixon_{'BH_17s' if self.breath_hold else 'noBH'}_{self.contrast}"

    @property
    def time(self) -> str:
        """``AcquisitionTime`` as DICOM writes it, ``HHMMSS.ffffff``."""
        minutes, seconds = divmod(self.acquisition_time % 86400, 60)
        return f"{int(minutes) // 60:02d}{int(minutes) % 60:02d}{min(seconds, 59.999999):09.6f}"
