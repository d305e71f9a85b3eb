"""Soft parts of a body as closed solids: skin and fat, muscle, chest and belly with their organs and gas."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.simulate.body.physique import Physique
from spinelift.simulate.body.skeleton import Joints
from spinelift.simulate.body.solids import Solid, Tissue, ellipsoid, loft
from spinelift.simulate.body.spine import PosedSpine

ARM_RADII = (44, 56, 43, 29, 22)
"""Above the shoulder, at shoulder, elbow, wrist and fingertips, mm."""
LEG_RADII = (80, 88, 60, 38, 36)
"""At the hip, below the groin, at knee, ankle and toes, mm."""

ORGANS = (
    ("liver", (-62, -62), 10.4, (74, 62, 70), 8),
    ("liver", (-5, -90), 10.2, (60, 30, 38), 8),
    ("spleen", (88, -15), 10.5, (26, 38, 48), 8),
    ("kidney", (58, -8), 12.2, (24, 20, 55), 6),
    ("kidney", (-58, -8), 12.7, (24, 20, 55), 6),
)
"""Name, (x, y) from the spine at a fractional level, half axes, standard deviation of the place; mm."""


def place_flesh(
    spine: PosedSpine,
    joints: Joints,
    cage: Float,
    physique: Physique,
    rng: np.random.Generator,
    *,
    whole: bool,
) -> list[Solid]:
    """Everything but bones, from the skin inwards: later solids displace what lies around them.

    ``cage`` [n, 3] are points of the bones of chest and shoulders, which the skin must hold.
    """
    s = physique.scale
    out = _trunk(spine, joints, cage, physique, s, rng)
    out += [*_limbs(joints, physique, s, rng, whole=whole), _head(joints, s)]
    return [*out, *_chest(spine, s, rng), *_belly(spine, joints, physique, s, rng), *_gas(spine, s, rng)]


def _trunk(
    spine: PosedSpine, joints: Joints, cage: Float, physique: Physique, s: float, rng: np.random.Generator
) -> list[Solid]:
    """Skin from the neck to the crotch, and the muscle wall inside the fat."""
    top, bottom = spine.ends
    chin = top[2] - 110 * s
    crotch = joints.hip[:, 2].mean() + 75 * s
    shoulder = top[2] + 5 * s
    marks = [chin, top[2] - 45 * s, shoulder - 12 * s, shoulder + 18 * s, spine.centres[Vertebra.T5, 2]]
    marks += [spine.centres[Vertebra.T9, 2], spine.centres[Vertebra.L1, 2], spine.centres[Vertebra.L3, 2]]
    marks += [bottom[2], joints.hip[:, 2].mean(), crotch]
    build, female = (physique.bmi - 25) / 10, float(physique.female)
    wide = np.array([58, 62, 118, 168, 164, 152, 142, 145, 165, 175, 165], float)
    wide += np.array([4, 4, 6, 12, 20, 30, 48, 50, 32, 28, 24]) * build
    wide += np.array([-4, -5, -8, -12, -12, -14, -12, -8, 4, 6, 4]) * female
    deep = np.array([58, 60, 72, 90, 105, 108, 98, 95, 98, 100, 85], float)
    deep += np.array([4, 6, 8, 14, 24, 30, 42, 44, 34, 22, 12]) * build
    deep += np.array([-3, -4, -5, -6, -2, -6, -8, -8, -4, 0, 0]) * female
    wide *= s * rng.normal(1, 0.04) * rng.normal(1, 0.02, len(wide))
    deep *= s * rng.normal(1, 0.05) * rng.normal(1, 0.02, len(deep))
    z = np.linspace(chin, crotch, 30)
    half = np.stack([np.interp(z, marks, wide), np.interp(z, marks, deep)], 1)
    x = spine.line_at(z, 0, sd_levels=4)
    ring = np.clip(np.round((cage[:, 2] - z[0]) / (z[1] - z[0])).astype(int), 0, len(z) - 1)
    bones = np.zeros(len(z))
    np.maximum.at(bones, ring, np.abs(cage[:, 0] - x[ring]) + 7 * s)
    half[:, 0] = np.maximum(half[:, 0], bones)
    half = gaussian_filter1d(half, 1.0, axis=0, mode="nearest")
    back = gaussian_filter1d(spine.line_at(z, 1), 6, mode="nearest") + 78 * s
    fat = (11 + 14 * max(build + 0.4, 0) + 5 * female) * rng.uniform(0.8, 1.2) * np.array([0.35, 1.0])
    rim = np.interp(z, [shoulder, spine.centres[Vertebra.T9, 2], bottom[2]], fat[[0, 1, 1]])
    fade = np.clip((z - chin) / (60 * s), 0.02, 1) * np.clip((crotch - z) / (70 * s), 0.02, 1)
    half[:, 1] *= fade  # head and legs take over where the trunk thins out
    y = back - 0.5 * np.interp(z, marks, deep) * (1 + fade)
    centres = np.stack([x, y, z], 1)
    skin = loft(centres, half, segments=36, exponent=2.3)
    inner = np.maximum(half - np.stack([rim, rim * 0.8], 1) * s, 0.35 * half)
    wall = loft(centres, inner, segments=36, exponent=2.3)
    return [
        Solid("skin", *skin, Tissue.FAT, Tissue.AIR),
        Solid("trunk wall", *wall, Tissue.MUSCLE, Tissue.FAT),
    ]


def _limbs(
    joints: Joints, physique: Physique, s: float, rng: np.random.Generator, *, whole: bool
) -> list[Solid]:
    """Skin and muscle of arms and legs."""
    out: list[Solid] = []
    build = 1 + (physique.bmi - 25) * 0.018
    fat = np.clip(0.12 + (physique.bmi - 22) * 0.012 + 0.08 * physique.female, 0.08, 0.4)
    for k in range(2):
        hand = joints.wrist[k] + (joints.wrist[k] - joints.elbow[k]) * 0.68
        shoulder, hip = joints.shoulder[k], joints.hip[k]
        above = np.array([0, 0, 38 * s])
        arm = np.stack([shoulder - above, shoulder, joints.elbow[k], joints.wrist[k], hand])
        toe = joints.ankle[k] + np.array([0, -30, 75]) * s
        groin = np.array([[0, 0, -5], [0, 0, 90]]) * s
        leg = np.stack([*(hip + groin), joints.knee[k], joints.ankle[k], toe])
        for name, line, radii in (("arm", arm, ARM_RADII), ("leg", leg, LEG_RADII)):
            if name == "leg" and not whole:
                continue
            t = np.linspace(0, len(line) - 1, 15)
            axis = np.stack([np.interp(t, np.arange(len(line)), line[:, c]) for c in range(3)], 1)
            r = np.interp(t, np.arange(len(line)), radii) * s * build * rng.normal(1, 0.04)
            r = gaussian_filter1d(r, 1.0, mode="nearest")
            if name == "leg":
                r = r + 12 * s * np.exp(-((t - 2.45) ** 2) / 0.08)  # calf
            order = np.argsort(axis[:, 2])
            r = r * np.sqrt(np.clip(t / 0.8, 0.05, 1)) if name == "arm" else r
            thin = np.clip(t / 0.75, 0.02, 1) if name == "leg" else 1.0
            half = np.stack([r, r * 0.95 * thin], 1)[order]
            skin, muscle = (loft(axis[order], wide, segments=20) for wide in (half, half * (1 - fat)))
            out.append(Solid(name, *skin, Tissue.FAT, Tissue.AIR))
            out.append(Solid(f"{name} muscle", *muscle, Tissue.MUSCLE, Tissue.FAT))
    return out


def _head(joints: Joints, s: float) -> Solid:
    """Head and face."""
    t = np.array([0, 8, 30, 70, 110, 150, 185, 215]) * s
    half = np.array([[5, 5], [45, 55], [68, 84], [76, 96], [74, 92], [66, 75], [56, 35], [50, 2]]) * s
    centres = joints.vertex + np.stack([0 * t, 0 * t, t], 1)
    return Solid("head", *loft(centres, half), Tissue.MUSCLE, Tissue.AIR)


def _chest(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Solid]:
    """Lungs, heart, great vessels and trachea."""
    out: list[Solid] = []
    apex = spine.centres[Vertebra.T2, 2]
    base = spine.centres[Vertebra.T10, 2] + rng.normal(0, 14)
    x0 = float(spine.centres[3:9, 0].mean())
    size = rng.normal(1, 0.06) * s
    t = np.linspace(0, 1, 12)
    for sign in (1, -1):
        low = base + (10 if sign > 0 else -8) * s + rng.normal(0, 6)
        z = apex + t * (low - apex)
        profile = np.sqrt(np.clip(np.sin(np.pi * np.clip(t * 0.80 + 0.06, 0, 1)), 0, 1)) * (1 - 0.35 * t**6)
        half = np.stack([46 * profile, 72 * profile], 1) * size
        y = spine.line_at(z, 1) - 40 * size
        x = x0 + sign * (70 - 10 * (1 - t)) * size
        lung = loft(np.stack([x, y, z], 1), half, segments=20)
        out.append(Solid("lung", *lung, Tissue.LUNG, Tissue.MUSCLE, rng.uniform(0.8, 1.3)))
        for _ in range(rng.integers(3, 9)):  # vessels and scars
            u = rng.uniform(0.2, 0.85)
            centre = [x0 + sign * rng.uniform(35, 90) * size, np.interp(u, t, y), apex + u * (low - apex)]
            mark = ellipsoid(np.array(centre), rng.uniform(3, 14, 3) * s)
            out.append(Solid("lung mark", *mark, Tissue.ORGAN, Tissue.LUNG, rng.uniform(0.3, 1)))
    _, y8, z8 = spine.centres[Vertebra.T8]
    middle = np.array([x0 + rng.normal(16, 7) * s, y8 - 75 * s, z8 + rng.normal(0, 12)])
    heart = ellipsoid(middle, np.array([52, 40, 58]) * s * rng.normal(1, 0.1, 3))
    out.append(Solid("heart", *heart, Tissue.ORGAN, Tissue.LUNG, rng.uniform(0.5, 1.0)))
    z = np.linspace(spine.centres[Vertebra.T4, 2], spine.centres[Vertebra.L4, 2], 14)
    side = np.interp(z, [z[0], z[-1]], [rng.normal(20, 5), rng.normal(8, 6)])
    x, y = spine.line_at(z, 0) + side * s, spine.line_at(z, 1) - 26 * s
    r = rng.uniform(9, 15) * s
    aorta = loft(np.stack([x, y, z], 1), np.full((14, 2), r), segments=12)
    out.append(Solid("aorta", *aorta, Tissue.ORGAN, Tissue.VISCERA, rng.uniform(0.9, 1.2)))
    if rng.random() < 0.3:  # calcified plaques
        for _ in range(rng.integers(1, 7)):
            k = rng.integers(4, 14)
            place = np.array([x[k] + rng.choice([-1, 1]) * r, y[k], z[k] + rng.normal(0, 8)])
            plaque = ellipsoid(place, rng.uniform(1, 3.5, 3))
            out.append(Solid("plaque", *plaque, Tissue.CORTEX, Tissue.ORGAN, rng.uniform(0.3, 1)))
    z = np.linspace(spine.ends[0][2] - 95 * s, spine.centres[Vertebra.T5, 2] + rng.normal(0, 8), 10)
    x, y = spine.line_at(z, 0) + rng.normal(0, 3), spine.line_at(z, 1) - 32 * s
    trachea = loft(np.stack([x, y, z], 1), np.full((10, 2), rng.uniform(6.5, 10) * s), segments=12)
    return [*out, Solid("trachea", *trachea, Tissue.AIR, Tissue.MUSCLE)]


def _belly(
    spine: PosedSpine, joints: Joints, physique: Physique, s: float, rng: np.random.Generator
) -> list[Solid]:
    """Cavity with visceral fat and bowel; liver, spleen, kidneys, psoas."""
    build = (physique.bmi - 25) / 10
    top, low = spine.centres[Vertebra.T10, 2], joints.hip[:, 2].mean()
    t = np.linspace(0, 1, 14)
    z = top + t * (low - top)
    x = spine.line_at(z, 0, sd_levels=3)
    y = spine.line_at(z, 1, sd_levels=3) - (72 + 18 * build) * s
    shape = np.clip(np.sin(np.pi * np.clip(0.12 + 0.76 * t, 0, 1)), 0.3, 1) ** 0.5
    half = np.stack([(108 + 16 * build) * shape, (62 + 22 * build) * shape], 1) * s * rng.normal(1, 0.04)
    cavity = loft(np.stack([x, y, z], 1), half, segments=24)
    out = [Solid("cavity", *cavity, Tissue.VISCERA, Tissue.MUSCLE)]
    for name, place, level, radii, sway in ORGANS:
        centre = spine.at_level(level) + np.array([*place, 0]) * s + rng.normal(0, sway, 3)
        organ = ellipsoid(centre, np.array(radii) * s * rng.normal(1, 0.1, 3))
        out.append(Solid(name, *organ, Tissue.ORGAN, Tissue.VISCERA))
    for sign in (1, -1):
        zz = np.linspace(spine.centres[Vertebra.L1, 2], joints.hip[0, 2], 9)
        px = spine.line_at(zz, 0) + sign * (np.interp(zz, [zz[0], zz[-1]], [30, 72]) * s)
        py = spine.line_at(zz, 1) - np.interp(zz, [zz[0], zz[-1]], [0, 30]) * s
        r = np.array([8, 14, 19, 23, 26, 26, 24, 20, 14]) * s * rng.normal(1, 0.1)
        psoas = loft(np.stack([px, py, zz], 1), np.stack([r, r * 1.1], 1), segments=14)
        out.append(Solid("psoas", *psoas, Tissue.MUSCLE, Tissue.VISCERA))
    return out


def _gas(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Solid]:
    """Pockets of gas and lumps of stool along random walks through the bowel."""
    out: list[Solid] = []
    bottom = spine.ends[1][2]
    for _ in range(rng.poisson(7)):
        x, z = rng.normal(0, 55) * s, rng.uniform(spine.centres[Vertebra.T11, 2], bottom + 70 * s)
        heading, radius = rng.uniform(0, 2 * np.pi), np.exp(rng.normal(1.7, 0.45))
        for _ in range(rng.integers(1, 9)):
            heading += rng.normal(0, 0.7)
            radius = float(np.clip(radius * np.exp(rng.normal(0, 0.25)), 2.2, 26))
            x, z = x + radius * 1.3 * np.cos(heading), z + radius * 1.3 * np.sin(heading)
            if rng.random() < 0.25:
                continue
            y = float(spine.line_at(z, 1)) - rng.uniform(50, 110) * s
            lump = ellipsoid(np.array([x, y, z]), radius * rng.uniform(0.6, 1.2, 3), rings=6, segments=10)
            if rng.random() < 0.75:
                out.append(Solid("gas", *lump, Tissue.AIR, Tissue.VISCERA))
            else:
                out.append(Solid("stool", *lump, Tissue.ORGAN, Tissue.VISCERA, rng.uniform(0.9, 1.4)))
    return out
