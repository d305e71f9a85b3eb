"""The trunk as a cross-section shows it: chest inside the ribs, belly inside its wall, back and seat.

An X-ray from the front does not show how far lungs and bowel reach to the sides and back; MRI does.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Bool, Float, Int32
from spinelift.simulate.body.body import Body
from spinelift.simulate.body.solids import Tissue, ellipsoid, loft, points_of
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.mr.tissue import MrTissue
from spinelift.simulate.mr.voxels import ALL


@dataclass(frozen=True)
class Part:
    """A closed mesh, points [v, 3] mm and faces [f, 3], of one tissue; ``over`` says what it may displace."""

    points: Float
    faces: Int32
    tissue: MrTissue
    over: Bool = field(default_factory=lambda: ALL)


def along(spine: PosedSpine, levels: Float, offset: Float) -> Float:
    """Points [n, 3] at fractional levels, ``offset`` [n, 3] mm away in the vertebrae's own axes."""
    k = np.arange(len(Vertebra))
    frame = CubicSpline(k, spine.frames)(levels)
    return np.asarray(CubicSpline(k, spine.centres)(levels) + np.einsum("nij,nj->ni", frame, offset))


def tube(points: Float, half: Float, tissue: MrTissue, *, segments: int = 16, exponent: float = 2.0) -> Part:
    """A loft whose heights are made to increase strictly."""
    points = points.copy()
    points[:, 2] = np.maximum.accumulate(points[:, 2]) + 1e-3 * np.arange(len(points))
    return Part(*loft(points, half, segments=segments, exponent=exponent), tissue)


def _box(
    z: Float, left: Float, right: Float, front: Float, back: Float, tissue: MrTissue, exponent: float
) -> Part:
    """A loft between four walls, each [n] mm."""
    centres = np.stack([(left + right) / 2, (front + back) / 2, z], 1)
    half = np.maximum(np.stack([(left - right) / 2, (back - front) / 2], 1), 2.0)
    return tube(centres, half, tissue, segments=32, exponent=exponent)


def chest(body: Body, rng: np.random.Generator) -> list[Part]:
    """Lungs inside the ribs, the mediastinum's fat with its vessels, and the domes of the diaphragm."""
    spine, s = body.spine, body.physique.scale
    ribs = points_of(body.solids, "rib", "sternum", "cartilage")
    apex = spine.centres[Vertebra.T1, 2] + 8 * s
    base = float(np.interp(11.6 + rng.normal(0, 0.4), np.arange(17), spine.centres[:, 2]))
    z = np.linspace(apex, base, 18)
    step = z[1] - z[0]
    walls = np.empty((4, len(z)))
    for k, h in enumerate(z):
        near = ribs[np.abs(ribs[:, 2] - h) < 1.2 * step]
        middle = spine.line_at(h, 0)
        front = near[np.abs(near[:, 0] - middle) < 60 * s]
        front = front if len(front) > 0 else near
        walls[:, k] = near[:, 0].max(), near[:, 0].min(), front[:, 1].min(), near[:, 1].max()
    walls = gaussian_filter1d(walls, 1.0, axis=1, mode="nearest")
    round_off = np.sqrt(np.clip((z - apex + 4) / (55 * s), 0.02, 1))
    middle = (walls[0] + walls[1]) / 2
    half = np.maximum((walls[0] - walls[1]) / 2 - 11 * s, 5) * round_off
    front, back = walls[2] + 16 * s, walls[3] - 9 * s
    depth = (back - front) / 2 * round_off
    out = [_box(z, middle + half, middle - half, back - 2 * depth, back, MrTissue.LUNG, 2.3)]
    for side, level in ((1, 12.3), (-1, 11.9)):  # left dome holds stomach and spleen, right one the liver
        dome = along(spine, np.array([level]), np.array([[side * 0.47 * half[-1], 0.0, 0.0]]))[0]
        dome[1] = back[-1] - 1.02 * depth[-1]
        dome[2] += rng.normal(0, 6)
        size = np.array([0.5 * half[-1], 0.95 * depth[-1], rng.normal(80, 4) * s])
        out.append(Part(*ellipsoid(dome, size, rings=15, segments=28), MrTissue.VISCERA))
    return out


def mediastinum(spine: PosedSpine, s: float, build: float, rng: np.random.Generator) -> list[Part]:
    """Fat between the lungs, and the great vessels in it."""
    levels = np.linspace(0.0, 9.5, 14)
    deep = (np.interp(levels, [0, 0.7, 2, 6, 9], [3, 24, 34, 42, 46]) + 5 * build) * s
    offset = np.stack([np.full(14, rng.normal(3, 2) * s), -(14 * s + deep), 0 * deep], 1)
    half = np.stack([np.interp(levels, [0, 1, 4, 9], [8, 26, 30, 34]) * s, deep], 1)
    out = [tube(along(spine, levels, offset), half, MrTissue.FAT, exponent=2.4)]
    zeros = np.zeros(12)
    for x, y, r, top, low in ((-24, -55, 9, 1.0, 7.0), (14, -70, 13, 3.2, 7.0), (2, -28, 7, 1.0, 10.0)):
        levels = np.linspace(top, low, 12)
        line = along(spine, levels, np.stack([zeros + x * s, zeros + y * s, zeros], 1))
        tissue = MrTissue.MUSCLE if r == 7 else MrTissue.BLOOD
        out.append(tube(line, np.full((12, 2), r * s), tissue))
    return out


def belly(body: Body, rng: np.random.Generator) -> list[Part]:
    """Fat and bowel inside the wall's muscle, narrowing into the pelvis."""
    spine, s = body.spine, body.physique.scale
    wall = points_of(body.solids, "trunk wall")[:-2].reshape(-1, 36, 3)
    heights = wall[:, :, 2].mean(1)
    pelvis, hip = spine.ends[1][2], body.joints.hip[:, 2].mean()
    z = np.linspace(np.interp(10.6, np.arange(17), spine.centres[:, 2]), hip + 5 * s, 20)
    left, right = (np.interp(z, heights, f(wall[:, :, 0], 1)) for f in (np.max, np.min))
    front = np.interp(z, heights, wall[:, :, 1].min(1))
    thick = rng.uniform(13, 19) * s
    middle = (left + right) / 2
    into = np.clip((z - pelvis + 30 * s) / (hip - pelvis), 0, 1)
    half = (left - right) / 2 - thick * 1.15
    half = half * (1 - into) + np.minimum(half, 58 * s) * into
    back = spine.line_at(z, 1) + (14 + 14 * into) * s
    round_off = np.sqrt(np.clip((z[-1] - z + 3) / (60 * s), 0.05, 1))
    depth = (back - front - thick) * round_off
    return [_box(z, middle + half, middle - half, back - depth, back, MrTissue.VISCERA, 3.0)]


def cushion(body: Body, s: float) -> Part:
    """Fat under the skin of the back's midline, so that no spinous process pierces it."""
    bones = (x for x in body.solids if x.name.startswith("vertebra_") and x.tissue == Tissue.SPINE_CORTEX)
    tips = np.array([x.points[np.argmax(x.points[:, 1])] for x in bones])
    line = gaussian_filter1d(tips[np.argsort(tips[:, 2])], 1.0, axis=0, mode="nearest")
    half = np.tile([45.0 * s, 22.0 * s], (len(line), 1))
    return tube(line - np.array([0.0, 10.0 * s, 0.0]), half, MrTissue.FAT, segments=20)


def seat(body: Body, s: float, inset_mm: float, tissue: MrTissue) -> list[Part]:
    """Buttocks behind the hip joints, and the roots of the thighs before them."""
    grow = s * (1 + 0.01 * (body.physique.bmi - 25))
    out = []
    for hip in body.joints.hip:
        for at, radii in (((0, 26, 18), (82, 62, 105)), ((0, -14, 60), (78, 68, 110))):
            mesh = ellipsoid(hip + np.array(at) * s, np.array(radii) * grow - inset_mm, rings=15, segments=24)
            out.append(Part(*mesh, tissue))
    return out
