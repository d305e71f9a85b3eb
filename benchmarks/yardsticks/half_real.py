"""Yardstick 2: the real vertebrae, ribs and soft parts of a CT, re-posed along real spines.

Every vertebra of the CT is moved rigidly, but for its scaling, onto a spine of a table of centres, its
endplates forward of the line as in real people. The rest follows by the warp of `simulate.ct.tube`. Pelvis,
sacrum and arms, which the CT lacks, are the simulator's. The truth is exact by construction.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.case import YardstickCase, photograph
from benchmarks.yardsticks.forward import sample_tilt
from benchmarks.yardsticks.parts import ct_parts
from spinelift.geometry import PixelGrid
from spinelift.simulate.body.body import sample_composition
from spinelift.simulate.body.bones import template
from spinelift.simulate.body.flesh import place_flesh
from spinelift.simulate.body.physique import REFERENCE_STATURE_MM, T1_L5_PER_STATURE, Physique
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.skeleton import place_skeleton
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.ct.pairs import complete_spines
from spinelift.simulate.ct.project import pose_spine, project_parts, trunk_view
from spinelift.simulate.dxa.project import add_mesh
from spinelift.simulate.dxa.xray import acquire, sample_scanner

Float = NDArray[np.float64]
CT_FIRST, CT_LAST = 12.5, 13.35
"""Levels whose soft parts repeat below the CT's end (L1/L2 to its last slices)."""
BORROWED = ("hip_", "sacrum", "humerus")
"""Bones that the simulator adds."""


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
    spine, scale = pose_spine(parts.spine, centres, rng, tilt=sample_tilt(rng))
    scale[:, 0] *= rng.choice([-1.0, 1.0], N_LEVELS)  # real vertebrae are not symmetric, nor all alike
    view = trunk_view(spine, rng)
    maps = project_parts(parts, spine, scale, view, last=CT_LAST, first=CT_FIRST)
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
