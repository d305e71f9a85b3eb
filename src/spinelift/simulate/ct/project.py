"""CTs as DXA pictures: as the person lies, and with the spine along other centres.

In a new pose every whole vertebra of the CT is moved rigidly, but for its scaling; all else follows by the
warp of `tube`. The truth is exact by construction.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from spinelift.curves import Curve, SpineCurves
from spinelift.geometry import PixelGrid, Spacing, SpineFrame
from spinelift.geometry.arrays import Float, UInt8
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.spine import PosedSpine, along_line, frames_along
from spinelift.simulate.ct.parts import Parts
from spinelift.simulate.ct.tube import T_FIRST, T_LAST, T_STEP, splat, tube_of, warp_project
from spinelift.simulate.ct.volume import CtVolume

MARGIN_MM = 40.0
"""How far a trunk view goes beyond the spine, head and feet."""


def trunk_view(spine: PosedSpine, rng: np.random.Generator) -> PixelGrid:
    """The part of a total-body scan around a spine, with the person a little off the middle."""
    top, bottom = spine.ends
    row, col, cols = rng.uniform(2.41, 2.44), 2.419, 272
    z0 = float(top[2] - MARGIN_MM - rng.uniform(0, row))
    rows = round((bottom[2] + MARGIN_MM - z0) / row)
    x0 = float(spine.centres[:, 0].mean() + rng.normal(0, 12) - (cols - 1) / 2 * col)
    return PixelGrid((x0, z0), Spacing(row, col), (rows, cols))


def crop_spine(bone: UInt8, view: PixelGrid, spine: PosedSpine) -> tuple[UInt8, SpineCurves]:
    """Crop [224, 224] of a bone picture at the place of a spine given in the view's mm, and its curves."""
    z, mm = spine.curves_mm()
    x0, z0 = view.origin_mm
    mm[: Curve.ANTERIOR] -= x0
    x = mm[Curve.CENTRE]
    frame = SpineFrame.from_ends(
        view.spacing,
        top_xz_mm=(float(x[0]), float(z[0] - z0)),
        bottom_xz_mm=(float(x[-1]), float(z[-1] - z0)),
    )
    image = np.clip(np.round(frame.crop(bone)), 0, 255).astype(np.uint8)
    return image, SpineCurves.from_mm(mm, frame)


def project_volume(volume: CtVolume, view: PixelGrid) -> Float:
    """Integrate along y: maps of bone, lean and fat [3, rows, cols] in g/cm², each pixel its area's mean."""
    dz, dy, dx = volume.spacing
    maps = volume.density.sum(2, dtype=np.float64) * dy / 10
    for axis, size, first, count, pixel in (
        (1, dz, view.origin_mm[1], view.shape[0], view.spacing.row_mm),
        (2, dx, view.origin_mm[0], view.shape[1], view.spacing.col_mm),
    ):
        edges = np.arange(maps.shape[axis] + 1) * size - size / 2
        total = np.concatenate([np.zeros_like(maps.take([0], axis)), np.cumsum(maps, axis) * size], axis)
        want = first + (np.arange(count + 1) - 0.5) * pixel
        where = np.clip(np.interp(want, edges, np.arange(len(edges))), 0, len(edges) - 1)
        low = np.minimum(where.astype(int), len(edges) - 2)
        shape = [1, 1, 1]
        shape[axis] = len(want)
        t = (where - low).reshape(shape)
        at = total.take(low, axis) * (1 - t) + total.take(low + 1, axis) * t
        maps = np.diff(at, axis=axis) / pixel
    return np.asarray(maps)


def pose_spine(
    own: PosedSpine, centres: Float, rng: np.random.Generator, *, tilt: Float | None = None
) -> tuple[PosedSpine, Float]:
    """A CT's vertebrae on given centres [17, 3], and the scale of each [17, 3] (left, back, down).

    Heights follow the local pitch, widths the pitch smoothed over levels. Bodies turn into the convexity and
    at random, as in `simulate.body.spine.pose`. They stand on the centre line as in the CT, but for a little,
    or, with ``tilt`` [17, 3], by that beside the unit tangents.
    """
    pitch = np.linalg.norm(np.gradient(centres, axis=0), axis=1)
    down = pitch / np.linalg.norm(np.gradient(own.centres, axis=0), axis=1)
    across = gaussian_filter1d(down, 3.0, mode="nearest") * rng.normal(1, 0.03)
    scale = np.stack([across * rng.normal(1, 0.02), across * rng.normal(1, 0.02), down], 1)
    axial = axial_turn_deg(centres, rng)
    if tilt is None:
        left = own.frames[:, :, 0]
        along = frames_along(own.centres, np.degrees(np.arctan2(left[:, 1], left[:, 0])))
        frames = frames_along(centres, axial, rng.normal(0, 0.015, (N_LEVELS, 3)))
        frames = frames @ along.transpose(0, 2, 1) @ own.frames
    else:
        frames = frames_along(centres, axial, tilt)
    return PosedSpine(centres, frames, own.size * scale), scale


def axial_turn_deg(centres: Float, rng: np.random.Generator) -> Float:
    """Axial turn [17] of vertebrae on centres [17, 3], degrees: into the convexity and at random."""
    tilt = np.degrees(np.arctan2(*np.gradient(centres, axis=0)[:, [0, 2]].T))
    bend = gaussian_filter1d(-np.gradient(tilt), 1.0)
    axial = bend * np.linspace(1.7, 1.0, N_LEVELS) * rng.normal(1, 0.4)
    axial += gaussian_filter1d(rng.normal(0, 2.5, N_LEVELS), 1.5) + rng.normal(0, 2)
    return np.asarray(np.clip(axial, -30, 30))


def project_parts(
    parts: Parts, spine: PosedSpine, scale: Float, view: PixelGrid, *, last: float = T_LAST,
    first: float = T_LAST - 1,
) -> Float:  # fmt: skip
    """Maps of bone, lean and fat [3, rows, cols] in g/cm² of a re-posed CT.

    Soft parts follow the centre line, whatever the tilt of the vertebrae. A negative scale mirrors a vertebra
    in that axis. ``last`` and ``first`` as of :func:`warp_project`.
    """
    t = np.arange(T_FIRST, T_LAST + T_STEP / 2, T_STEP)
    wide = np.interp(t, np.arange(N_LEVELS), np.abs(scale[:, :2]).mean(1))
    own, y = parts.spine, spine.centres[:, 1]
    reach = float(wide.max())
    front, back = own.centres[:, 1].max(), parts.soft.shape[1] * parts.spacing[1] - own.centres[:, 1].min()
    maps = warp_project(
        parts.soft, parts.spacing, np.zeros(3), tube_of(own.centres, along_line(own)),
        tube_of(spine.centres, along_line(spine)), wide, view,
        (float(y.min() - reach * front), float(y.max() + reach * back)), last=last, first=first,
    )  # fmt: skip
    for k, cloud in parts.clouds.items():
        points = (cloud.points * scale[k]) @ spine.frames[k].T + spine.centres[k]
        mass = cloud.mass * np.abs(scale[k].prod())
        splat(maps, points.astype(np.float32), mass.astype(np.float32), view)
    return np.maximum(maps, 0.0)
