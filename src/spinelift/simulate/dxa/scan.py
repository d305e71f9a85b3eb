"""A simulated person on the scanner's table: the pictures, their pixel size, and the truth."""

from dataclasses import dataclass, replace

import numpy as np

from spinelift.curves import Curve, SpineCurves
from spinelift.geometry import PixelGrid, Spacing, SpineFrame, Vertebra
from spinelift.geometry.arrays import Float, Float32, UInt8
from spinelift.geometry.canonical import CanonicalGrid
from spinelift.simulate.body.body import Body
from spinelift.simulate.body.posture import Posture, repose
from spinelift.simulate.body.solids import Solid
from spinelift.simulate.dxa.project import ARMS, project
from spinelift.simulate.dxa.xray import Scanner, acquire, enlarge, sample_scanner

LVA_MM = 0.2476
"""Pixel size of the lateral vertebral view, mm (formats.md)."""
LVA_SHAPE = (1768, 808)
"""Rows and columns of the lateral vertebral view."""
LVA_COARSE = 4
"""The lateral view is computed on pixels this many times as large."""


@dataclass(frozen=True)
class SimulatedScan:
    """Total-body pictures of one person, uint8 [H, W], columns to the patient's left, with exact truth.

    True heights ``z_mm`` [209] and curves ``mm`` [6, 209] start at the centre of the scan's first pixel, as x
    and z of the bodies' centres T1 to L5 ``centres_mm`` [17, 3]; their y is that of ``mm``.
    """

    bone: UInt8
    tissue: UInt8
    spacing: Spacing
    z_mm: Float
    mm: Float
    centres_mm: Float

    @property
    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Top and bottom of the spine, (x, z) in mm."""
        x = self.mm[Curve.CENTRE]
        return (float(x[0]), float(self.z_mm[0])), (float(x[-1]), float(self.z_mm[-1]))

    @property
    def curves(self) -> SpineCurves:
        """The truth in the crop that exact ends would give."""
        top, bottom = self.ends
        frame = SpineFrame.from_ends(self.spacing, top_xz_mm=top, bottom_xz_mm=bottom)
        return SpineCurves.from_mm(self.mm, frame)


def take_scan(
    body: Body, rng: np.random.Generator, *, whole: bool = True, scanner: Scanner | None = None
) -> SimulatedScan:
    """Put a person on the table and scan the whole body, or with ``whole=False`` the trunk alone.

    The field is 660 mm wide, its height follows the person's; ExposedArea is in whole millimetres.
    """
    scanner = scanner or sample_scanner(rng)
    top, bottom = body.spine.ends
    cols, width = 272, 658
    if whole:
        z0 = body.joints.vertex[2] - rng.uniform(25, 70)
        height = round(body.joints.ankle[:, 2].max() + rng.uniform(90, 130) - z0)
        rows = round(height / rng.uniform(2.41, 2.44))
    else:
        z0, height = top[2] - 40.0, round(bottom[2] - top[2] + 80.0)
        rows = round(height / 2.427)
    spacing = Spacing(height / rows, width / cols)
    x0 = body.spine.centres[:, 0].mean() + rng.normal(0, 12) - (cols - 1) / 2 * spacing.col_mm
    view = PixelGrid((float(x0), float(z0)), spacing, (rows, cols))
    trunk = slice(*(int(row) for row in view.to_pixels([top[[0, 2]], bottom[[0, 2]]])[:, 0]))
    bone, tissue = acquire(project(body, view), scanner, rng, trunk=trunk)
    z, mm = body.spine.curves_mm()
    centres = body.spine.centres - np.array([x0, 0.0, z0])
    centres[:, 1] += np.interp(body.spine.centres[8, 2], z, mm[Curve.SAGITTAL]) - centres[8, 1]
    mm[: Curve.ANTERIOR] -= x0
    return SimulatedScan(bone, tissue, spacing, z - z0, mm, centres)


@dataclass(frozen=True)
class SimulatedLateral:
    """Lateral vertebral view of one person, uint8 [1768, 808], columns to posterior, with exact truth.

    Heights ``z_mm`` [209] and anterior, centre and posterior curve ``mm`` [3, 209] of T1 to L5 start at the
    centre of the image's first pixel; what lies outside the image is not seen. ``ends_mm`` [2, 2] are the
    centres (y, z) of T5's upper and L5's lower endplate.
    """

    image: UInt8
    z_mm: Float
    mm: Float
    ends_mm: Float

    @property
    def spacing(self) -> Spacing:
        """Pixel size."""
        return Spacing(LVA_MM, LVA_MM)


def take_lateral(body: Body, rng: np.random.Generator, posture: Posture | None = None) -> SimulatedLateral:
    """The lateral vertebral view of T5 to L5, arms raised; with ``posture`` of the person in that posture.

    Computed at a quarter of the resolution and enlarged linearly: the beam is about as wide as four pixels.
    The middle of T5 to L5 lies at the centre of the image, moved by the shift of the posture.
    """
    rows, cols = LVA_SHAPE
    shift = np.zeros(3) if posture is None else posture.shift_mm
    body = body if posture is None else repose(body, posture)
    spine = body.spine
    centre = spine.centres[Vertebra.T5 :].mean(0) - shift
    view = PixelGrid.square(centre[1:], LVA_MM * LVA_COARSE, (rows // LVA_COARSE, cols // LVA_COARSE))
    solids = tuple(s for s in body.solids if s.name not in ARMS and _in_view(s, view))
    usual = sample_scanner(rng)  # its own mode: motion and gas disturb a single breath-hold less
    scanner = replace(usual, texture=0.4 * usual.texture, mottle=0.3 * usual.mottle, pits=0.3 * usual.pits)
    picture, _ = acquire(project(replace(body, solids=solids), view, side=True), scanner, rng)
    z, mm = spine.curves_mm()
    middle = spine.centres[Vertebra.T9]
    upper = spine.centres[Vertebra.T5] - spine.size[Vertebra.T5, 2] / 2 * spine.frames[Vertebra.T5, :, 2]
    first = np.array(view.origin_mm) - (LVA_COARSE - 1) / 2 * LVA_MM
    y = mm[Curve.ANTERIOR :] + middle[1] - np.interp(middle[2], z, mm[Curve.SAGITTAL]) - first[0]
    ends = np.stack([upper, spine.ends[1]])[:, 1:] - first
    return SimulatedLateral(enlarge(picture, LVA_COARSE), z - first[1], y, ends)


def _in_view(solid: Solid, view: PixelGrid) -> bool:
    """Whether any of a solid may lie in a lateral view."""
    low, high = solid.points[:, 1:].min(0), solid.points[:, 1:].max(0)
    y0, y1, z0, z1 = view.extent_mm
    return bool(high[0] > y0 and low[0] < y1 and high[1] > z0 and low[1] < z1)


def lateral_truth(view: SimulatedLateral) -> tuple[UInt8, UInt8, Float32, Float32]:
    """Image and mask of the column, uint8 [320, 160], ends [2, 2] (row, col), and the column of the centre
    line in each row [320], NaN where it is not seen, on the canvas of lateral views."""
    grid = CanonicalGrid.lateral(view.spacing, LVA_SHAPE)
    image = np.clip(np.round(grid.resample(view.image)), 0, 255).astype(np.uint8)
    z, y = grid.canvas.z_mm, grid.canvas.x_mm
    front, centre, back = (np.interp(z, view.z_mm, curve, np.nan, np.nan) for curve in view.mm)
    y0, y1, z0, z1 = grid.scan.extent_mm
    front[(z < z0) | (z > z1)] = np.nan
    mask = (y >= np.maximum(front, y0)[:, None]) & (y <= np.minimum(back, y1)[:, None])
    line = np.where(np.isfinite(front), (centre - y[0]) / grid.pixel_mm, np.nan)
    ends = grid.canvas.to_pixels(view.ends_mm)
    return image, mask.astype(np.uint8), ends.astype(np.float32), line.astype(np.float32)


def canonical_truth(scan: SimulatedScan) -> tuple[UInt8, UInt8, Float32]:
    """Image and spine mask, uint8 [832, 320], and ends [2, 2] (row, col), on the canonical grid."""
    grid = CanonicalGrid(scan.spacing, (scan.bone.shape[0], scan.bone.shape[1]))
    image = np.clip(np.round(grid.resample(scan.bone)), 0, 255).astype(np.uint8)
    z, x = grid.canvas.z_mm, grid.canvas.x_mm
    left, right = (np.interp(z, scan.z_mm, scan.mm[c]) for c in (Curve.LEFT, Curve.RIGHT))
    inside = (z >= scan.z_mm[0]) & (z <= scan.z_mm[-1])
    mask = (x[None] <= left[:, None]) & (x[None] >= right[:, None]) & inside[:, None]
    ends = grid.canvas.to_pixels(np.array(scan.ends))
    return image, mask.astype(np.uint8), ends.astype(np.float32)
