"""A body as MRI sees it: its solids by MR tissue, and what an X-ray does not show.

Discs with nucleus and annulus, the spinal canal with fluid and cord, back muscles in their fasciae, fat
around kidneys and heart, great veins, bladder and stomach. Foreign metal outside the body is taken off
before an MRI.
"""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.simulate.body.body import Body
from spinelift.simulate.body.solids import Solid, Tissue, ellipsoid, loft, points_of
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.mr.tissue import MrTissue
from spinelift.simulate.mr.trunk import Part, along, belly, chest, cushion, mediastinum, seat, tube
from spinelift.simulate.mr.voxels import ALL

_BY_NAME = {
    "liver": MrTissue.LIVER,
    "spleen": MrTissue.SPLEEN,
    "kidney": MrTissue.KIDNEY,
    "heart": MrTissue.HEART,
    "aorta": MrTissue.BLOOD,
    "stool": MrTissue.BOWEL,
    "head": MrTissue.BRAIN,
    "calcium": MrTissue.CORTEX,
}
_BY_TISSUE = {
    Tissue.AIR: MrTissue.AIR,
    Tissue.FAT: MrTissue.FAT,
    Tissue.MUSCLE: MrTissue.MUSCLE,
    Tissue.VISCERA: MrTissue.VISCERA,
    Tissue.ORGAN: MrTissue.GLAND,
    Tissue.LUNG: MrTissue.LUNG,
    Tissue.CARTILAGE: MrTissue.CARTILAGE,
    Tissue.CORTEX: MrTissue.CORTEX,
    Tissue.SPINE_CORTEX: MrTissue.CORTEX,
    Tissue.SPINE_TRABECULAR: MrTissue.SPINE_MARROW,
    Tissue.RIB_TRABECULAR: MrTissue.RIB_MARROW,
    Tissue.LIMB_TRABECULAR: MrTissue.LIMB_MARROW,
}
_BONE = (
    *(Tissue.CORTEX, Tissue.SPINE_CORTEX, Tissue.SPINE_TRABECULAR),
    *(Tissue.RIB_TRABECULAR, Tissue.LIMB_TRABECULAR, Tissue.CARTILAGE),
)
_SKINS = ("skin", "arm", "leg")
_MUSCLES = ("trunk wall", "arm muscle", "leg muscle")
_REPLACED = ("metal", "cavity", "lung", "lung mark")
_GROW = {"liver": 10.0, "spleen": 3.0}
"""By how many mm an organ is larger than in the X-ray, where only its shadow counts."""
_BELLY = (MrTissue.LIVER, MrTissue.SPLEEN, MrTissue.BOWEL)
_IN_BODY = ALL.copy()
_IN_BODY[MrTissue.AIR] = False
_IN_BELLY = np.zeros_like(ALL)
_IN_BELLY[[MrTissue.VISCERA, MrTissue.LUNG, *_BELLY, MrTissue.GLAND]] = True
_SPINAL = ("sacrum", *(f"C{i}" for i in range(1, 8)))


def mr_parts(body: Body, rng: np.random.Generator) -> list[Part]:
    """Everything to be painted, from the outside in: later parts win."""
    spine, s = body.spine, body.physique.scale
    build = (body.physique.bmi - 25) / 10
    flesh = [x for x in body.solids if x.name not in _REPLACED and not _is_bone(x)]
    skins = [x for x in flesh if x.name in _SKINS]
    out = [Part(_tapered(x, body), x.faces, MrTissue.FAT) for x in skins]
    out += [cushion(body, s), *seat(body, s, 0.0, MrTissue.FAT)]
    out += [Part(_tapered(x, body), x.faces, MrTissue.MUSCLE) for x in flesh if x.name in _MUSCLES]
    out += seat(body, s, 14.0 + 10 * max(build, 0.0), MrTissue.MUSCLE)
    out += [*belly(body, rng), *chest(body, rng), *mediastinum(spine, s, build, rng)]
    out += [_around(x, 9 * s, MrTissue.FAT) for x in flesh if x.name in ("kidney", "heart")]
    for solid in flesh:
        if solid.name in _SKINS or solid.name in _MUSCLES:
            continue
        out.append(_around(solid, _GROW.get(solid.name, 0.0) * s, _tissue(solid)))
        if solid.name == "heart":
            out += _chambers(solid)
    out += [*_hollow(body, s, rng), *_back(spine, s, rng), *_canal(spine, s), *_discs(spine)]
    out += [Part(x.points, x.faces, _tissue(x)) for x in body.solids if _is_bone(x)]
    skin = len(skins) + 5
    return out[:skin] + [replace(p, over=_IN_BELLY if p.tissue in _BELLY else _IN_BODY) for p in out[skin:]]


def _tapered(solid: Solid, body: Body) -> Float:
    """The points of a solid; the trunk narrows to the thighs, and its muscle lies close to the ribs."""
    if solid.name not in ("skin", "trunk wall"):
        return solid.points
    points = solid.points.copy()
    if solid.name == "trunk wall":
        x = points[:, 0] - points[:, 0].mean()
        points[:, 1] = np.maximum(points[:, 1], _chest_front(body, points[:, 2]) + x**2 / 420.0)
    hip = body.joints.hip.mean(0)
    share = np.clip((points[:, 2] - hip[2] + 15) / 75, 0, 1) * 0.17
    points[:, 0] -= (points[:, 0] - hip[0]) * share
    return points


def _chest_front(body: Body, z: Float) -> Float:
    """How far to the front muscle reaches at heights z [n]: no farther than 16 mm before ribs and sternum."""
    s, centres = body.physique.scale, body.spine.centres
    cage = points_of(body.solids, "rib", "sternum", "cartilage")
    heights = np.linspace(centres[Vertebra.T2, 2], centres[Vertebra.T12, 2], 16)
    near = [cage[np.abs(cage[:, 2] - h) < 30, 1].min() for h in heights]
    front = np.interp(z, heights, gaussian_filter1d(near, 1.0, mode="nearest")) - 16 * s
    fade = np.clip((z - centres[Vertebra.T9, 2]) / (centres[Vertebra.L1, 2] - centres[Vertebra.T9, 2]), 0, 1)
    return np.asarray(front - 150 * fade**2)


def _is_bone(solid: Solid) -> bool:
    """Bones and calcium, which are painted last."""
    return solid.tissue in _BONE and solid.name != "metal"


def _tissue(solid: Solid) -> MrTissue:
    if solid.name in _SPINAL and solid.tissue == Tissue.LIMB_TRABECULAR:
        return MrTissue.SPINE_MARROW
    return _BY_NAME.get(solid.name, _BY_TISSUE[solid.tissue])


def _extent(solid: Solid) -> tuple[Float, Float]:
    """Mean of a solid's points and half its size along each axis [3]."""
    return solid.points.mean(0), (solid.points.max(0) - solid.points.min(0)) / 2


def _around(solid: Solid, by_mm: float, tissue: MrTissue) -> Part:
    """A solid enlarged from its centre by a distance in mm."""
    middle, half = _extent(solid)
    return Part(middle + (solid.points - middle) * (1 + by_mm / half), solid.faces, tissue)


def _chambers(heart: Solid) -> list[Part]:
    """Blood of the two sides of the heart."""
    middle, half = _extent(heart)
    left = ellipsoid(middle + np.array([0.28, 0.2, 0.1]) * half, half * [0.42, 0.55, 0.62])
    right = ellipsoid(middle + np.array([-0.42, -0.1, 0.0]) * half, half * [0.42, 0.6, 0.7])
    return [Part(*left, MrTissue.BLOOD), Part(*right, MrTissue.BLOOD)]


def _hollow(body: Body, s: float, rng: np.random.Generator) -> list[Part]:
    """Vena cava, stomach and bladder."""
    spine, zeros = body.spine, np.zeros(10)
    levels = np.linspace(9.0, 15.5, 10)
    line = along(spine, levels, np.stack([zeros - 16 * s, zeros - 32 * s, zeros], 1))
    out = [tube(line, np.stack([zeros + 12 * s, zeros + 9 * s], 1), MrTissue.BLOOD)]
    stomach = along(spine, np.array([11.3]), np.array([[52.0, -78.0, 0.0]]) * s)[0] + rng.normal(0, 6, 3)
    out.append(Part(*ellipsoid(stomach, np.array([38, 30, 42]) * s * rng.normal(1, 0.12, 3)), MrTissue.BOWEL))
    if rng.random() < 0.8:
        gas = stomach + np.array([0.0, -14.0, -4.0]) * s
        out.append(Part(*ellipsoid(gas, np.array([22, 9, 24]) * s), MrTissue.AIR))
    bladder = body.joints.hip.mean(0) + np.array([0.0, -42.0, -8.0]) * s
    size = np.array([40, 32, 30]) * s * rng.uniform(0.6, 1.25)
    out.append(Part(*ellipsoid(bladder, size + 4.0), MrTissue.MUSCLE))
    out.append(Part(*ellipsoid(bladder, size), MrTissue.FLUID))
    return out


def _back(spine: PosedSpine, s: float, rng: np.random.Generator) -> list[Part]:
    """Erector spinae and multifidus on each side, in a sheet of fat, from T1 to the sacrum."""
    levels = np.linspace(-0.5, 17.0, 19)
    wide = np.interp(levels, [0, 5, 10, 14, 16, 17], [19, 21, 25, 30, 27, 17]) * s * rng.normal(1, 0.06)
    deep = np.interp(levels, [0, 5, 10, 14, 16, 17], [13, 14, 17, 22, 19, 10]) * s * rng.normal(1, 0.06)
    back = np.interp(levels, [0, 5, 10, 14, 17], [34, 37, 38, 42, 46]) * s
    sheet = rng.uniform(1.5, 3.5)
    out = []
    for grow, tissue in ((sheet, MrTissue.FAT), (0.0, MrTissue.ERECTOR)):
        for side in (1, -1):
            offset = np.stack([side * (wide + 4 * s), back, 0 * back], 1)
            half = np.stack([wide + grow, deep + grow], 1)
            out.append(tube(along(spine, levels, offset), half, tissue, segments=20, exponent=2.5))
    return out


def _canal(spine: PosedSpine, s: float) -> list[Part]:
    """Epidural fat, fluid and cord, which ends at L1."""
    levels = np.linspace(-3.0, 17.2, 41)
    depth = np.interp(levels, np.arange(len(Vertebra)), spine.size[:, 1])
    offset = np.stack([0 * levels, depth / 2 + 9.5 * s, 0 * levels], 1)
    line = along(spine, levels, offset)
    canal = np.interp(levels, [0, 4, 10, 12, 16], [10.5, 9.0, 9.5, 11.5, 12.5])[:, None] * [1.0, 0.85] * s
    out = [tube(line, canal, MrTissue.FAT), tube(line, canal * 0.82, MrTissue.FLUID)]
    cord = levels < 11.8
    radius = np.interp(levels, [-3, 0, 4, 10.5, 11.8], [6.2, 5.6, 4.6, 4.9, 1.5])[:, None] * [1.0, 0.85] * s
    return [*out, tube(line[cord], radius[cord], MrTissue.CORD)]


def _discs(spine: PosedSpine) -> list[Part]:
    """Discs from below C7 to below L5, each from endplate to endplate: annulus, and nucleus inside."""
    out = []
    n = len(Vertebra)
    outline = _ellipse(24)
    _, faces = loft(np.zeros((3, 3)), np.ones((3, 2)), segments=len(outline))
    half = spine.size[:, 2] / 2
    for upper in range(-1, n):
        above, below = max(upper, 0), min(upper + 1, n - 1)
        a = spine.centres[above] + spine.frames[above, :, 2] * half[above]
        b = spine.centres[below] - spine.frames[below, :, 2] * half[below]
        fa, fb = spine.frames[above], spine.frames[below]
        if upper < 0:
            a = b - fb[:, 2] * 5.0
        if upper == n - 1:
            b = a + fa[:, 2] * 10.0
        size = (spine.size[above] + spine.size[below]) / 2
        for share, reach, tissue in ((1.0, 1.5, MrTissue.ANNULUS), (0.62, 0.2, MrTissue.NUCLEUS)):
            ring = outline * (size[:2] / 2 * share)
            down = (b - a) / max(np.linalg.norm(b - a), 1e-6)
            top, low = a - down * reach, b + down * reach
            middle = (top + low) / 2 + ring @ ((fa + fb) / 2)[:, :2].T * 1.03
            rings = [top + ring @ fa[:, :2].T, middle, low + ring @ fb[:, :2].T]
            out.append(Part(np.concatenate([*rings, top[None], low[None]]), faces, tissue))
    return out


def _ellipse(segments: int) -> Float:
    """Unit superellipse [segments, 2], squarer than an ellipse."""
    t = 2 * np.pi * np.arange(segments) / segments
    both = np.stack([np.cos(t), np.sin(t)], 1)
    return np.asarray(np.sign(both) * np.abs(both) ** 0.85)
