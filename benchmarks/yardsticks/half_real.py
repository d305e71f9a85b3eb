"""Yardstick 2: the real vertebrae, ribs and soft parts of a CT, re-posed along real spines.

Every vertebra of the CT is moved rigidly, but for its scaling, onto a spine of a table of centres; the
rest follows by the warp of `tube`. Pelvis, sacrum and arms, which the CT lacks, are the simulator's. The
truth is exact by construction.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from benchmarks.yardsticks.case import YardstickCase, photograph, trunk_view
from benchmarks.yardsticks.forward import along_line, sample_tilt
from benchmarks.yardsticks.parts import Parts, ct_parts
from benchmarks.yardsticks.tube import T_FIRST, T_LAST, T_STEP, splat, tube_of, warp_project
from spinelift.geometry import PixelGrid
from spinelift.simulate.body.body import sample_composition
from spinelift.simulate.body.bones import template
from spinelift.simulate.body.flesh import place_flesh
from spinelift.simulate.body.physique import REFERENCE_STATURE_MM, T1_L5_PER_STATURE, Physique
from spinelift.simulate.body.prior import N_LEVELS, ShapePrior, read_centres, usable
from spinelift.simulate.body.skeleton import place_skeleton
from spinelift.simulate.body.spine import PosedSpine, frames_along
from spinelift.simulate.dxa.project import add_mesh
from spinelift.simulate.dxa.xray import acquire, sample_scanner

Float = NDArray[np.float64]
CT_FIRST, CT_LAST = 12.5, 13.35
"""Levels whose soft parts repeat below the CT's end (L1/L2 to its last slices)."""
BORROWED = ("hip_", "sacrum", "humerus")
"""Bones that the simulator adds."""


def complete_spines(table: Path) -> dict[str, Float]:
    """The usable complete T1-L5 spines of a table of centres [17, 3], z to the feet, mean at 0."""
    step_mm = ShapePrior.load().step_mm
    return {
        name: c - c.mean(0)
        for name, c in sorted(read_centres(table).items())
        if np.isfinite(c).all() and usable(c, step_mm)
    }


def pose_parts(parts: Parts, centres: Float, rng: np.random.Generator) -> tuple[PosedSpine, Float]:
    """The CT's vertebrae on given centres [17, 3], and the scale of each [17, 3] (left, back, down).

    Heights follow the local pitch, widths the pitch smoothed over levels. Bodies turn into the convexity
    and at random, as in `simulate.spine.pose`; endplates stand forward of the line as in real people.
    """
    pitch = np.linalg.norm(np.gradient(centres, axis=0), axis=1)
    own = np.linalg.norm(np.gradient(parts.centres, axis=0), axis=1)
    down = pitch / own
    across = gaussian_filter1d(down, 3.0, mode="nearest") * rng.normal(1, 0.03)
    scale = np.stack([across * rng.normal(1, 0.02), across * rng.normal(1, 0.02), down], 1)
    axial = axial_turn_deg(centres, rng)
    frames = frames_along(centres, axial, sample_tilt(rng))
    return PosedSpine(centres, frames, parts.size * scale), scale


def axial_turn_deg(centres: Float, rng: np.random.Generator) -> Float:
    """Axial turn [17] of vertebrae on centres [17, 3], degrees: into the convexity and at random."""
    tilt = np.degrees(np.arctan2(*np.gradient(centres, axis=0)[:, [0, 2]].T))
    bend = gaussian_filter1d(-np.gradient(tilt), 1.0)
    axial = bend * np.linspace(1.7, 1.0, N_LEVELS) * rng.normal(1, 0.4)
    axial += gaussian_filter1d(rng.normal(0, 2.5, N_LEVELS), 1.5) + rng.normal(0, 2)
    return np.asarray(np.clip(axial, -30, 30))


def project_parts(parts: Parts, spine: PosedSpine, scale: Float, view: PixelGrid) -> Float:
    """Maps of bone, lean and fat [3, rows, cols] in g/cm² of the re-posed CT.

    A negative scale mirrors a vertebra in that axis.
    """
    t = np.arange(T_FIRST, T_LAST + T_STEP / 2, T_STEP)
    wide = np.interp(t, np.arange(N_LEVELS), np.abs(scale[:, :2]).mean(1))
    y = spine.centres[:, 1]
    maps = warp_project(
        parts.soft, parts.spacing, parts.origin, tube_of(parts.centres, parts.frames),
        tube_of(spine.centres, along_line(spine.centres, spine.frames)), wide, view,
        (float(y.min() - 210), float(y.max() + 110)), last=CT_LAST, first=CT_FIRST,
    )  # fmt: skip
    for k, cloud in enumerate(parts.clouds):
        points = (cloud.points * scale[k]) @ spine.frames[k].T + spine.centres[k]
        splat(
            maps, points.astype(np.float32), (cloud.mass * np.abs(scale[k].prod())).astype(np.float32), view
        )
    return np.maximum(maps, 0.0)


def add_borrowed(maps: Float, spine: PosedSpine, view: PixelGrid, rng: np.random.Generator) -> None:
    """Add the simulator's pelvis, sacrum and arms to maps in place; arms stand beside the trunk."""
    length = float(np.linalg.norm(np.diff(spine.centres, axis=0), axis=1).sum())
    height = float(np.clip(length / T1_L5_PER_STATURE, 1450, 2000))
    physique = Physique(
        bool(rng.random() < 0.5), 60.0, height, float(rng.uniform(20, 28)), float(rng.normal())
    )
    skeleton, joints = place_skeleton(template(), spine, physique, rng, whole=False)
    cage = np.concatenate([s.points for s in skeleton])
    flesh = place_flesh(spine, joints, cage, physique, rng, whole=False)
    arms = [s for s in flesh if s.name in ("arm", "arm muscle")]
    rest = [s for s in skeleton if s.name.startswith(BORROWED)]
    composition = sample_composition(physique, rng)
    trunk = view.x_mm[(maps[1] + maps[2])[view.shape[0] // 3 :].max(0) > 2.0]
    middle = float(spine.centres[:, 0].mean())
    for solid in (*arms, *rest):
        points = solid.points
        if solid.name in ("arm", "arm muscle", "humerus"):
            sign = 1.0 if points[:, 0].mean() > middle else -1.0
            elbow = joints.elbow[0 if sign > 0 else 1]
            edge = trunk.max() if sign > 0 else trunk.min()
            out = sign * (edge - elbow[0]) + 45.0 * physique.height_mm / REFERENCE_STATURE_MM
            points = points + np.array([sign * max(out, 0.0), 0.0, 0.0])
        add_mesh(
            maps,
            points,
            solid.faces,
            solid.mass(composition),
            view,
            samples=1 if solid.name.startswith("arm") else 2,
        )
    np.maximum(maps, 0.0, out=maps)


def half_real_case(
    name: str, centres: Float, seed: tuple[int, ...], *, disturb: bool = True
) -> YardstickCase:
    """One half-real person on centres [17, 3], which ``disturb`` scales, tilts and bends at random."""
    rng = np.random.default_rng(seed)
    parts = ct_parts()
    if disturb:
        centres = disturbed(centres, rng)
    spine, scale = pose_parts(parts, centres, rng)
    scale[:, 0] *= rng.choice([-1.0, 1.0], N_LEVELS)  # real vertebrae are not symmetric, nor all alike
    view = trunk_view(spine, rng)
    maps = project_parts(parts, spine, scale, view)
    maps[0] *= np.exp(rng.normal(0, 0.2))
    add_borrowed(maps, spine, view, rng)
    bone, _ = acquire(maps, sample_scanner(rng), rng)
    return photograph(name, bone, view, spine)


def disturbed(centres: Float, rng: np.random.Generator) -> Float:
    """A spine made another person's: size ±10 %, tilt ±2 degrees, bent smoothly by a few mm."""
    out = centres * rng.uniform(0.9, 1.1)
    t = np.linspace(0, 1, N_LEVELS)
    waves = np.stack([np.sin(np.pi * k * t) for k in (1, 2, 3)])
    out[:, 0] += rng.normal(0, 2.0, 3) @ waves
    out[:, 1] += rng.normal(0, 2.5, 3) @ waves
    out[:, :2] += out[:, 2:] * np.tan(np.radians(rng.normal(0, 2.0, 2)))
    return np.asarray(out)


def half_real_cases(table: Path, *, copies: int = 4, seed: int = 22) -> list[YardstickCase]:
    """``copies`` people on every complete spine of a table, every second one mirrored.

    Cases of one spine share their person's name, so that intervals resample spines.
    """
    cases = []
    for i, (name, centres) in enumerate(complete_spines(table).items()):
        for k in range(copies):
            turned = centres * np.array([-1.0 if k % 2 else 1.0, 1.0, 1.0])
            cases.append(half_real_case(f"{name}/{k}", turned, (seed, i, k)))
    return cases
