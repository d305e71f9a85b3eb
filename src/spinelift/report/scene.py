"""Input of every picture: one spine, its uncertainty, and its scan."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spinelift.curves import SAGITTAL, Curve, SpineCurves
from spinelift.geometry import PixelGrid, Vertebra
from spinelift.geometry.arrays import Float, Float32
from spinelift.geometry.resample import resample
from spinelift.measures import SpineMeasures, measure_spine

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

    Parameters
    ----------
    scan_id
        Shown in titles.
    image, curves
        Bone image and spine.
    half_width_mm
        Half width of the 90 % interval, mm [6, 209]; or None.
    plausible
        Spines that fit the image about as well.
    mean
        What is expected without an image, at the place of this spine; or None.
    image_share
        Share of the side view that comes from the image, 0 to 1; or None.
    measured
        Levels and main curve, with intervals; None: measured here, without them.
    warnings, made_by, bundle_sha256, limits
        Shown beside the pictures: what to know of this result, the bundle and its hash, and the limits on its
        card.
    """

    scan_id: str
    image: Float32
    curves: SpineCurves
    half_width_mm: Float | None = None
    plausible: tuple[SpineCurves, ...] = ()
    mean: SpineCurves | None = None
    image_share: float | None = None
    measured: SpineMeasures | None = None
    warnings: tuple[str, ...] = ()
    made_by: str = ""
    bundle_sha256: str = ""
    limits: tuple[str, ...] = ()

    @cached_property
    def measures(self) -> SpineMeasures:
        """Clinical measures of the spine."""
        if self.measured is not None:
            return self.measured
        mm = self.curves.mm
        return measure_spine(self.curves.z_mm, mm[Curve.CENTRE], mm[Curve.SAGITTAL])

    @property
    def levels_mm(self) -> dict[Vertebra, float]:
        """Height of each vertebral centre, mm from the centre of the scan's first row."""
        return {Vertebra[name]: level.z_mm for name, level in self.measures.levels.items()}

    @property
    def share_sentence(self) -> str:
        """How much of the side view was read from the image, in words; empty if not known."""
        if self.image_share is None:
            return ""
        percent = round(100 * self.image_share)
        return f"side view: {percent} % from this image, {100 - percent} % from people like this"

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
        self, *, side_mm: float = 150.0, margin_mm: float = 45.0, below_mm: float | None = None
    ) -> tuple[Float32, tuple[float, float, float, float]]:
        """The image around the spine in 1.2 mm squares, 0 beyond the scan, and its outer edges in mm.

        ``margin_mm`` are above and, without ``below_mm``, below the spine. The edges (right of the patient,
        left, head, feet) are in the axes of ``curves.mm``.
        """
        mm, z = self.curves.mm, self.curves.z_mm
        head, feet = z[0] - margin_mm, z[-1] + (margin_mm if below_mm is None else below_mm)
        centre = (mm[Curve.RIGHT].min() + mm[Curve.LEFT].max()) / 2, (head + feet) / 2
        size = feet - head, 2 * side_mm
        shape = round(size[0] / PLANE_PIXEL_MM), round(size[1] / PLANE_PIXEL_MM)
        region = PixelGrid.square(centre, PLANE_PIXEL_MM, shape)
        scan = PixelGrid.of_scan(self.curves.frame.spacing, self.image.shape)
        return resample(self.image, scan, region), region.extent_mm


def patient_to_y_up(xyz_mm: Float) -> Float:
    """(left, posterior, feet) → (left, head, anterior), mm [..., 3]: a mirror, so faces must be turned."""
    return xyz_mm[..., [0, 2, 1]] * (1.0, -1.0, -1.0)


def matrix_y_up(matrix: Float) -> Float:
    """A transform [4, 4] of patient axes as one of points after :func:`patient_to_y_up`."""
    axes = np.eye(4)
    axes[:3, :3] = patient_to_y_up(np.eye(3)).T
    return axes @ matrix @ axes.T


def patient_to_lps(xyz_mm: Float) -> Float:
    """(left, posterior, feet) → (left, posterior, head), mm [..., 3]: a mirror, so faces must be turned."""
    return xyz_mm * (1.0, 1.0, -1.0)


def uncertainty_colour(half_width_mm: Float) -> Float:
    """RGB 0–255 [..., 3] of a 90 % half width in mm: blue is sure, red is 12 mm or more."""
    t = np.clip(np.asarray(half_width_mm) / UNCERTAIN_MM, 0, 1)
    return np.stack([np.interp(t, _STOPS, _COLOURS[:, k]) for k in range(3)], -1)
