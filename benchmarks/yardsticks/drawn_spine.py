"""Spines of the drawn people: smooth random curves, and vertebrae made of simple solids.

Nothing here comes from the simulator that makes training people but its mesh primitives: curves are sums
of waves with a drawn kyphosis and lordosis, sizes are straight lines over levels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spinelift.simulate.body.prior import N_LEVELS, N_STEPS
from spinelift.simulate.body.solids import ellipsoid, loft
from spinelift.simulate.body.spine import PosedSpine, frames_along

Float = NDArray[np.float64]
Mesh = tuple[Float, NDArray[np.int32]]
LUMBAR = 12
"""Number of L1."""


@dataclass(frozen=True)
class Drawn:
    """A closed mesh and what a millimetre of it adds to bone, lean and fat, g/cm² [3]."""

    points: Float
    faces: NDArray[np.int32]
    mass: Float


def draw_curve(rng: np.random.Generator) -> Float:
    """Centres [17, 3], mm, mean at 0: kyphosis 31 ± 8 and lordosis 27 ± 14 degrees, coronal waves."""
    s = np.linspace(0, 1, N_STEPS)
    kyphosis, lordosis = max(rng.normal(31, 8), 5.0), max(rng.normal(27, 14), 2.0)
    turn = rng.uniform(0.62, 0.82)  # where kyphosis goes over into lordosis
    upper = kyphosis * (1 + np.cos(np.pi * np.clip(s / turn, 0, 1))) / 2
    lower = lordosis * (1 - np.cos(np.pi / 2 * np.clip((s - turn) / (1 - turn), 0, 1)))
    sagittal = upper + lower + _waves(s, rng, 1.5)
    sagittal += rng.normal(0, 2.5) - sagittal.mean()
    coronal = _waves(s, rng, 8.0 if rng.random() < 0.2 else 2.5)
    coronal += rng.normal(0, 1.5) - coronal.mean()
    pitch = np.interp(np.arange(N_STEPS), [0, 10, 12, 15], [19.5, 26.5, 32.5, 36.5])
    pitch *= rng.normal(1, 0.06) * rng.normal(1, 0.025, N_STEPS)
    step = np.stack([np.tan(np.radians(coronal)), np.tan(np.radians(sagittal)), np.ones(N_STEPS)], 1)
    step *= (pitch / np.linalg.norm(step, axis=1))[:, None]
    centres = np.concatenate([np.zeros((1, 3)), np.cumsum(step, 0)])
    return np.asarray(centres - centres.mean(0))


def _waves(s: Float, rng: np.random.Generator, size: float) -> Float:
    """Sum of four sinusoids; the k-th has an amplitude of ``size / k`` degrees, one standard deviation."""
    k = np.arange(1, 5)[:, None]
    waves = rng.normal(0, size / k) * np.sin(np.pi * k * s + rng.uniform(0, 2 * np.pi, (4, 1)))
    return np.asarray(waves.sum(0))


def draw_spine(rng: np.random.Generator) -> PosedSpine:
    """A drawn spine; vertebrae turn about their axis as a slow wave, and tilt off the curve by 2 degrees."""
    centres = draw_curve(rng)
    level = np.arange(N_LEVELS)
    axial = _waves(np.linspace(0, 1, N_LEVELS), rng, 4.0) + rng.normal(0, 3)
    frames = frames_along(centres, axial, rng.normal(0, 0.035, (N_LEVELS, 3)))
    scale = np.linalg.norm(centres[-1] - centres[0]) / 440 * rng.normal(1, 0.07, 3)
    width = np.interp(level, [0, 3, 11, 16], [29, 25, 39, 50]) * scale[0]
    depth = np.interp(level, [0, 8, 16], [18, 29, 36]) * scale[1]
    height = np.linalg.norm(np.gradient(centres, axis=0), axis=1) * np.clip(
        rng.normal(0.77, 0.04), 0.65, 0.88
    )
    return PosedSpine(centres, frames, np.stack([width, depth, height], 1))


def draw_vertebrae(
    spine: PosedSpine, cortex: float, trabecular: float, rng: np.random.Generator
) -> list[Drawn]:
    """Bodies, pedicles, laminae, facets, and processes of T1 to L5; densities in g/cm³."""
    shape = {
        "exponent": rng.uniform(2.2, 3.2), "waist": rng.uniform(0.03, 0.14), "shell": rng.uniform(0.6, 1.5),
        "arch": rng.normal(1, 0.08), "droop": rng.normal(1, 0.15), "spine": rng.normal(1, 0.12),
        "facet": rng.normal(1, 0.12),
    }  # fmt: skip
    out: list[Drawn] = []
    for k in range(N_LEVELS):
        density = rng.normal(1, 0.05)
        local = _body(spine.size[k], shape, cortex * density, trabecular * density)
        local += _arch(k, spine.size[k], shape, cortex * density, trabecular * density, rng)
        out += [Drawn(d.points @ spine.frames[k].T + spine.centres[k], d.faces, d.mass) for d in local]
    return out


def bone(share: float) -> Float:
    """What a mm of bone of ``share`` g/cm³ mineral tissue adds where muscle was, g/cm² [3]."""
    return np.array([share, -0.5 * min(share, 1.9), 0.0]) / 10


def _body(size: Float, shape: dict[str, float], cortex: float, trabecular: float) -> list[Drawn]:
    z = np.linspace(-1, 1, 9)
    profile = 1 - shape["waist"] * (1 - np.abs(z) ** 2)
    half = profile[:, None] * size[:2] / 2
    out = []
    for inset, mass in ((0.0, bone(cortex * 0.6)), (shape["shell"], bone(trabecular) - bone(cortex * 0.6))):
        centres = np.stack([0 * z, 0 * z, z * (size[2] / 2 - inset)], 1)
        out.append(Drawn(*loft(centres, half - inset, segments=24, exponent=shape["exponent"]), mass))
    return out


def _arch(
    k: int, size: Float, shape: dict[str, float], cortex: float, trabecular: float, rng: np.random.Generator
) -> list[Drawn]:
    depth, height = size[1], size[2]
    lumbar = k >= LUMBAR
    scale = depth / 30 * shape["arch"]
    mass = bone(0.42 * cortex + 0.3 * trabecular)
    canal = np.interp(k, [0, 5, 16], [10.5, 8.5, 12.5]) * scale
    back = depth / 2
    parts: list[tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float]]] = []
    # centre, half axes, and turns (about the left axis, about the down axis) in degrees
    side_turn = np.interp(k, [0, 6, 12, 16], [25.0, 35.0, 5.0, 8.0])
    reach = np.interp(k, [0, 4, 11, 12, 16], [24, 20, 11, 21, 26]) * scale
    for sign in (1.0, -1.0):
        parts.append(
            (
                (sign * (canal + 2.5 * scale), back + 5 * scale, -0.18 * height),
                (3.2 * scale, 10 * scale, 0.26 * height),
                (0, 0),
            )
        )
        parts.append(
            (
                (sign * canal * 0.55, back + 17 * scale, 0.18 * height),
                (canal * 0.75, 3.2 * scale, 0.42 * height),
                (-12, -sign * 30),
            )
        )
        facet = (4.5 if lumbar else 3.6) * scale * shape["facet"]
        for z in (-0.42, 0.62):
            parts.append(
                (
                    (sign * (canal + facet * (0.6 if z < 0 else 0.1)), back + 13 * scale, z * height),
                    (facet, facet, 0.24 * height),
                    (0, 0),
                )
            )
        out = canal + 3 * scale + reach * 0.75
        parts.append(
            (
                (sign * out, back + 10 * scale + reach * 0.7 * np.sin(np.radians(side_turn)), -0.05 * height),
                (reach, 2.8 * scale, 3.4 * scale),
                (0, sign * side_turn),
            )
        )
    droop = np.interp(k, [0, 2, 5, 8, 11, 16], [25, 35, 55, 52, 20, 8]) * shape["droop"] + rng.normal(0, 3)
    length = np.interp(k, [0, 16], [13.0, 15.0]) * scale * shape["spine"]
    tall = (0.42 if lumbar else 0.22) * height
    a = np.radians(droop)
    parts.append(
        (
            (
                rng.normal(0, 1.0),
                back + 20 * scale + length * 0.9 * np.cos(a),
                0.25 * height + length * 0.9 * np.sin(a),
            ),
            (2.4 * scale, length, tall),
            (droop, 0),
        )
    )
    drawn = []
    for centre, radii, (about_left, about_down) in parts:
        points, faces = ellipsoid(np.zeros(3), np.array(radii), rings=6, segments=12)
        turn = Rotation.from_euler("xz", [about_left, about_down], degrees=True).as_matrix()
        drawn.append(Drawn(points @ turn.T + np.array(centre), faces, mass))
    return drawn
