"""Input of every picture: one spine, its uncertainty, and its scan."""

from dataclasses import dataclass

import numpy as np

from spinelift.curves import SAGITTAL, Curve, SpineCurves
from spinelift.geometry import PixelGrid
from spinelift.geometry.arrays import Float, Float32
from spinelift.geometry.resample import resample

PLANE_GAP_MM = 25.0
"""Distance of the scan's plane behind the most posterior point of the spine."""
PLANE_PIXEL_MM = 1.2
"""Pixel of the scan's picture behind the spine."""
UNCERTAIN_MM = 12.0
"""Half width of the 90 % interval at the far end of the colour scale."""
_COLOURS = np.array([[126, 200, 240], [232, 224, 196], [246, 176, 92], [226, 84, 60]], np.float64)
_STOPS = np.array([0.0, 0.4, 0.7, 1.0])
PLAIN_COLOUR = (226, 218, 198)
"""Colour of a spine whose uncertainty is not known."""


@dataclass(frozen=True)
class SpineScene:
    """The bone image [H, W], 0 to 255, and the spine with its position in the image.

    ``half_width_mm`` is that of the 90 % interval [6, 209], or None; ``plausible`` spines fit the image about
    as well; ``scan_id`` is shown in titles, ``warnings`` and ``made_by`` beneath the pictures.
    """

    scan_id: str
    image: Float32
    curves: SpineCurves
    half_width_mm: Float | None = None
    plausible: tuple[SpineCurves, ...] = ()
    warnings: tuple[str, ...] = ()
    made_by: str = ""

    @property
    def colours(self) -> Float:
        """Colour of each of the 209 heights, RGB 0–255 [209, 3], by the interval of the depth."""
        if self.half_width_mm is None:
            return np.tile(np.array(PLAIN_COLOUR, np.float64), (len(self.curves.z_mm), 1))
        return uncertainty_colour(self.half_width_mm[Curve.SAGITTAL])

    @property
    def plane_y_mm(self) -> float:
        """Depth of the scan's plane: behind the whole spine."""
        return float(self.curves.mm[SAGITTAL].max()) + PLANE_GAP_MM

    def region(
        self, *, side_mm: float = 150.0, margin_mm: float = 45.0
    ) -> tuple[Float32, tuple[float, float, float, float]]:
        """The image around the spine in 1.2 mm squares, 0 beyond the scan, and its outer edges in mm.

        The edges (right of the patient, left, head, feet) are in the axes of ``curves.mm``.
        """
        mm, z = self.curves.mm, self.curves.z_mm
        centre = (mm[Curve.RIGHT].min() + mm[Curve.LEFT].max()) / 2, (z[0] + z[-1]) / 2
        size = z[-1] - z[0] + 2 * margin_mm, 2 * side_mm
        shape = round(size[0] / PLANE_PIXEL_MM), round(size[1] / PLANE_PIXEL_MM)
        region = PixelGrid.square(centre, PLANE_PIXEL_MM, shape)
        scan = PixelGrid.of_scan(self.curves.frame.spacing, self.image.shape)
        return resample(self.image, scan, region), region.extent_mm


def patient_to_y_up(xyz_mm: Float) -> Float:
    """(left, posterior, feet) → (left, head, anterior), mm [..., 3]: a mirror, so faces must be turned."""
    return xyz_mm[..., [0, 2, 1]] * (1.0, -1.0, -1.0)


def uncertainty_colour(half_width_mm: Float) -> Float:
    """RGB 0–255 [..., 3] of a 90 % half width in mm: blue is sure, red is 12 mm or more."""
    t = np.clip(np.asarray(half_width_mm) / UNCERTAIN_MM, 0, 1)
    return np.stack([np.interp(t, _STOPS, _COLOURS[:, k]) for k in range(3)], -1)
