"""What surrounds the drawn spines: ribs as swept tubes, ellipsoid organs, a lofted trunk, arms and hips."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from benchmarks.yardsticks.drawn_spine import Drawn, bone
from spinelift.simulate.body.solids import ellipsoid, loft
from spinelift.simulate.body.spine import PosedSpine

Float = NDArray[np.float64]
LEAN = np.array([0.0, 1.0, 0.06]) / 10
FAT = np.array([0.0, 0.15, 0.78]) / 10


def sweep(path: Float, radii: Float, *, segments: int = 8) -> tuple[Float, NDArray[np.int32]]:
    """Closed tube along a path [n, 3] with elliptic sections, half axes [n, 2] across and along z."""
    n = len(path)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    up = np.array([0.0, 0.0, 1.0]) - tangent * tangent[:, [2]]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    side = np.cross(up, tangent)
    a = 2 * np.pi * np.arange(segments) / segments
    ring = (
        side[:, None] * (radii[:, 0, None] * np.cos(a))[..., None]
        + up[:, None] * (radii[:, 1, None] * np.sin(a))[..., None]
    )
    points = np.concatenate([(path[:, None] + ring).reshape(-1, 3), path[[0]], path[[-1]]])
    i, k = np.arange(n - 1)[:, None] * segments, np.arange(segments)
    nxt = (k + 1) % segments
    lower, upper = i + k, i + nxt
    side_faces = np.concatenate(
        [
            np.stack([lower, upper, lower + segments], 2),
            np.stack([upper, upper + segments, lower + segments], 2),
        ],
        1,
    ).reshape(-1, 3)
    end = (n - 1) * segments
    caps = np.concatenate(
        [
            np.stack([np.full(segments, n * segments), nxt, k], 1),
            np.stack([np.full(segments, n * segments + 1), end + k, end + nxt], 1),
        ]
    )
    return points, np.concatenate([side_faces, caps]).astype(np.int32)


def draw_ribs(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Drawn]:
    """Twelve pairs of ribs round an elliptic chest, and a sternum."""
    out = []
    share, thick = rng.uniform(0.25, 0.6), rng.normal(1, 0.1)
    slope = rng.normal(38, 6)
    for k in range(12):
        t = np.linspace(0, 1, 16)
        around = np.radians(20 + t * np.interp(k, [0, 7, 9, 11], [135, 130, 95, 45]))
        half_x = np.interp(k, [0, 3, 8, 11], [55, 105, 138, 130]) * s
        half_y = np.interp(k, [0, 3, 8, 11], [45, 78, 98, 80]) * s
        drop = np.interp(k, [0, 5, 11], [25, slope * 2.0, slope * 1.6]) * s * t
        for sign in (1.0, -1.0):
            wobble = rng.normal(0, 2, 2)
            x = spine.centres[k, 0] + sign * half_x * np.sin(around) ** 0.85
            y = spine.centres[k, 1] + 20 * s - half_y * (1 - np.cos(around)) + wobble[0]
            z = spine.centres[k, 2] - 4 + drop + wobble[1]
            x[0], y[0] = spine.centres[k, 0] + sign * spine.size[k, 0] * 0.5, spine.centres[k, 1] + 10 * s
            radii = np.tile([3.0, 5.5], (16, 1)) * s * thick
            out.append(Drawn(*sweep(np.stack([x, y, z], 1), radii), bone(share * rng.normal(1, 0.06))))
    top, low = spine.centres[2, 2], spine.centres[8, 2]
    centre = np.array(
        [spine.centres[5, 0] + rng.normal(0, 4), spine.centres[5, 1] - 150 * s, (top + low) / 2]
    )
    out.append(Drawn(*ellipsoid(centre, np.array([17 * s, 5 * s, (low - top) / 2])), bone(share * 0.7)))
    return out


def draw_trunk(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Drawn]:
    """Skin, muscle, lungs, liver, heart, gas, stool, collar bones, hips, sacrum and arms."""
    c = spine.centres
    top, bottom = spine.ends
    stout = rng.uniform(0, 1)
    z = np.linspace(top[2] - 90, bottom[2] + 130, 26)
    u = (z - top[2]) / (bottom[2] - top[2])
    wide = np.interp(u, [-0.2, -0.06, 0.06, 0.35, 0.75, 1.0, 1.25], [60, 75, 150, 158, 128, 150, 165]) * s
    wide = (wide + 35 * stout * np.clip(u * 2, 0, 1)) * (
        1 + 0.03 * gaussian_filter1d(rng.normal(size=26), 2) * 3
    )
    deep = np.interp(u, [-0.2, 0.0, 0.3, 0.8, 1.25], [55, 70, 105, 88, 95]) * s + 40 * stout * np.clip(
        u * 2, 0, 1
    )
    x, y = (np.interp(z, c[:, 2], gaussian_filter1d(c[:, i], 2)) for i in (0, 1))
    axis = np.stack([x, y - 45 * s, z], 1)
    fat = rng.uniform(6, 30) * (0.4 + stout)
    power = rng.uniform(2.0, 2.6)
    half = np.stack([wide, deep], 1)
    out = [
        Drawn(*loft(axis, half, segments=30, exponent=power), FAT),
        Drawn(*loft(axis, np.maximum(half - fat, 0.4 * half), segments=30, exponent=power), LEAN - FAT),
    ]
    air = -LEAN * rng.uniform(0.6, 0.8)
    for sign in (1.0, -1.0):
        at = np.array([c[6, 0] + sign * 72 * s, c[6, 1] - 45 * s, c[6, 2] + rng.normal(0, 8)])
        out.append(
            Drawn(*ellipsoid(at, np.array([50, 72, 118]) * s * rng.normal(1, 0.05, 3), segments=24), air)
        )
    organs = [
        ((35, -90, 8), (45, 40, 50), -0.6),
        ((-65, -60, 10.5), (68, 55, 50), 0.0),
        ((70, -40, 11), (35, 35, 40), -0.2),
    ]
    for (dx, dy, level), radii, part in organs:
        at = (
            np.array([np.interp(level, np.arange(17), c[:, i]) for i in range(3)])
            + np.array([dx, dy, 0.0]) * s
        )
        mass = air * part if part else LEAN * 0.05
        out.append(Drawn(*ellipsoid(at + rng.normal(0, 8, 3), np.array(radii) * s, segments=20), mass))
    for _ in range(rng.poisson(14)):
        at = np.array(
            [c[14, 0] + rng.normal(0, 60) * s, c[14, 1] - 80 * s, rng.uniform(c[11, 2], bottom[2] + 60)]
        )
        radii = np.exp(rng.normal(1.9, 0.5)) * rng.uniform(0.5, 1.5, 3)
        out.append(Drawn(*ellipsoid(at, radii, rings=5, segments=10), LEAN * rng.choice([-0.95, 0.15])))
    return out + _frame(spine, s, axis, half, rng)


def _frame(spine: PosedSpine, s: float, axis: Float, half: Float, rng: np.random.Generator) -> list[Drawn]:
    """Arms, collar bones, hips and sacrum."""
    c = spine.centres
    _, bottom = spine.ends
    out = []
    share = rng.uniform(0.35, 0.7)
    for sign in (1.0, -1.0):
        lift = rng.uniform(8, 20)
        edge = float((sign * (axis[:, 0] - c[:, 0].mean()) + half[:, 0]).max())
        start = np.array([c[0, 0] + sign * (150 + 10 * s) * s, c[1, 1] - 30, c[1, 2] + 12])
        end = np.array(
            [c[:, 0].mean() + sign * (edge + 45 * s + 2 * lift), c[13, 1], c[14, 2] - rng.normal(0, 15)]
        )
        t = np.linspace(0, 1, 9)[:, None]
        arm = start + t * (end - start)
        shaft = np.interp(t[:, 0], [0, 0.15, 0.5, 0.9, 1], [20, 13, 10, 13, 24]) * s
        long = start + np.linspace(-0.08, 1.9, 12)[:, None] * (end - start)
        out.append(Drawn(*loft(long, np.tile([46.0, 44.0], (12, 1)) * s, segments=16), LEAN * 0.9))
        out.append(Drawn(*loft(arm, np.stack([shaft, shaft], 1), segments=14), bone(share)))
        out.append(Drawn(*loft(arm, np.stack([shaft, shaft], 1) * 0.6, segments=14), -bone(share * 0.7)))
        inner = np.array([c[2, 0] + sign * 18 * s, c[2, 1] - 85 * s, c[2, 2] + 4])
        path = inner + np.linspace(0, 1, 8)[:, None] * (start - inner + [0, 0, -25 * s])
        out.append(Drawn(*sweep(path, np.full((8, 2), 5.5 * s)), bone(share)))
        hip, faces = ellipsoid(np.zeros(3), np.array([58.0, 9.0, 72.0]) * s, segments=20)
        turn = Rotation.from_euler("yz", [sign * rng.normal(22, 4), sign * 50], degrees=True).as_matrix()
        at = bottom + np.array([sign * 82.0, 5.0, rng.normal(48, 8)]) * s
        out.append(Drawn(hip @ turn.T + at, faces, bone(share)))
    at = bottom + np.array([0.0, 25.0, 55.0]) * s
    out.append(Drawn(*ellipsoid(at, np.array([48.0, 14.0, 58.0]) * s), bone(share * 0.8)))
    return out
