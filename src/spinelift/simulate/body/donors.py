"""Vertebrae of real people as donors of shape, and how one is made another person's.

A donor's vertebra is fitted to the size of a level, and then differs from itself as much as the vertebrae
of two real people differ once their bodies have the same size. Measured on CT: height of the arch's
centroid 1.2 to 1.9 mm (standard deviation between people at one level), slope 3.4°.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.simulate.body.bones import Mesh
from spinelift.simulate.body.links import correlated
from spinelift.simulate.body.morphometry import LOG_SIZE
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.spine import LORDOSIS_DEG, LORDOSIS_SD_DEG, PosedSpine
from spinelift.simulate.body.warp import Warp, sample_warps

ARCH_SCALE_SD = 0.05
"""Standard deviation between people of the log of the arch's size over the body's."""
SHIFT_MM, SHIFT_LEVEL_MM = 1.0, 0.5
"""Height of the arch against the donor's: standard deviation of the person's part and of each level's."""
SLOPE, SLOPE_LEVEL = np.tan(np.radians([3.2, 1.2]))
"""The same of its slope, as tangents."""
WARP_MM: Float = np.array([0.8, 0.9, 1.0])
"""Standard deviation of free-form differences of the arch (left, posterior, down)."""
SPINOUS_HEIGHT_SD, SPINOUS_LORDOSIS_R = 0.12, -0.8
"""Variation of the height of lumbar spinous processes, and its correlation with lordosis (CT)."""
ARCH_MINERAL: Float = np.interp(
    np.arange(N_LEVELS), [Vertebra.T7, Vertebra.T12, Vertebra.L3], [1.6, 2.3, 2.6]
)
"""Usual mineral of the arch over that of the body [17], by volume (two CTs)."""


@dataclass(frozen=True)
class DonorVertebra:
    """A vertebra of a real person in its own frame.

    Parameters
    ----------
    person, level
        Who, and which vertebra it is.
    mesh
        Left, posterior, down in mm; origin in the middle of the body.
    size
        Width and depth of the body at its endplates and its height [3], mm.
    centre, frame
        Where it was in the scan: middle of the body [3] and axes as columns [3, 3], patient axes with z to
        the feet.
    licence, source
        Of the mesh.
    arch_mineral
        Mineral in a cubic centimetre of the arch over that of the body, from CT; NaN if unknown.
    topology
        Name of the triangles that the mesh shares with others, so that vertices correspond; empty for a mesh
        of its own.
    fit_mm
        Mean distance of the mesh from the vertebra to which it was registered.
    cortex
        Thickness of the cortex at each vertex by CTs [v], mm; None where it is unknown.
    """

    person: str
    level: Vertebra
    mesh: Mesh
    size: Float
    centre: Float
    frame: Float
    licence: str = ""
    source: str = ""
    arch_mineral: float = float("nan")
    topology: str = ""
    fit_mm: float = float("nan")
    cortex: Float | None = None


@dataclass(frozen=True)
class DonorStyle:
    """How one vertebra differs from its donor; lengths in mm, angles as tangents, the rest as factors.

    ``scale`` is the arch's size over the donor's, ``wedge`` and ``concavity`` are added to the body.
    """

    scale: float
    arch_shift: float = 0.0
    arch_slope: float = 0.0
    spinous_height: float = 1.0
    wedge: float = 0.0
    concavity: float = 0.0
    lipping: float = 0.0
    warp: Warp | None = None


def sample_donor_styles(
    donors: Sequence[DonorVertebra | None], spine: PosedSpine, rng: np.random.Generator, *, spread: float
) -> list[DonorStyle]:
    """Differences of a person's 17 vertebrae from their donors, in size, and in the shape of the arch.

    ``spread`` multiplies the standard deviations of what arches look like.
    """

    def both(person: float, level: float) -> Float:
        return np.asarray(rng.normal(0, person) + rng.normal(0, level, N_LEVELS))

    scale = arch_scales(donors, spine.size) * np.exp(rng.normal(0, ARCH_SCALE_SD))
    shift, slope = spread * both(SHIFT_MM, SHIFT_LEVEL_MM), spread * both(SLOPE, SLOPE_LEVEL)
    lordosis = (spine.lordosis_deg - LORDOSIS_DEG) / LORDOSIS_SD_DEG
    z = correlated(lordosis, SPINOUS_LORDOSIS_R, rng)
    lumbar = np.arange(N_LEVELS) >= Vertebra.L1
    height = np.where(lumbar, np.clip(1 + SPINOUS_HEIGHT_SD * z, 0.65, 1.35), 1.0)
    warps = sample_warps(N_LEVELS, spread * WARP_MM, rng)
    rows = zip(*(a.tolist() for a in (scale, shift, slope, height)), warps, strict=True)
    return [DonorStyle(a, b, c, d, warp=warp) for a, b, c, d, warp in rows]


def arch_scales(donors: Sequence[DonorVertebra | None], size: Float) -> Float:
    """Factor [17] on each donor's arch for bodies of ``size`` [17, 3] mm; 1 for the template.

    One factor for all levels of a donor, because arches do not follow the size of the body of their level;
    where another level stands in, times the usual ratio of the two levels.
    """
    out = np.zeros(N_LEVELS)
    for person in {v.person for v in donors if v is not None}:
        own = [(k, v) for k, v in enumerate(donors) if v is not None and v.person == person]
        step = {k: LOG_SIZE[k] - LOG_SIZE[v.level] for k, v in own}
        ratio = np.median([np.log(size[k] / v.size).mean() - step[k] for k, v in own])
        for k, _ in own:
            out[k] = ratio + step[k]
    return np.exp(out)


def fit_vertebra(vertebra: DonorVertebra, size: Float, style: DonorStyle) -> Float:
    """Points [n, 3] of a donor in its own frame, its body made ``size`` [3] mm, its arch as in ``style``."""
    points, (_, depth, _) = vertebra.mesh.vertices, vertebra.size
    behind = points[:, 1] - depth / 2
    back = arch_share(behind)[:, None]
    arch = points * style.scale
    arch[:, 1] = size[1] / 2 + behind * style.scale
    reach = np.maximum(behind, 0.0) * style.scale
    if style.spinous_height != 1:
        spinous = np.exp(-((arch[:, 0] / 8.0) ** 2)) * expit((reach - 22) / 3)
        middle = float((spinous * arch[:, 2]).sum() / max(spinous.sum(), 1e-9))
        arch[:, 2] += spinous * (style.spinous_height - 1) * (arch[:, 2] - middle)
    arch[:, 2] += style.arch_shift + style.arch_slope * reach
    if style.warp is not None:
        arch = arch + style.warp.at(arch)
    body = points * size / vertebra.size
    high, radius = (np.clip(a, 0, 1) for a in (2 * np.abs(body[:, 2]) / size[2], _radius(body, size)))
    body[:, 2] *= (1 - style.concavity * (1 - radius)) * (
        1 + style.wedge * np.clip(2 * body[:, 1] / size[1], -1.2, 1.2)
    )
    body[:, :2] *= 1 + style.lipping * high[:, None] ** 6
    return np.asarray(body * (1 - back) + arch * back)


def arch_share(behind_mm: Float) -> Float:
    """How much points belong to the arch [n], 0 to 1, by their distance behind the back of the body."""
    return np.asarray(expit((behind_mm - 1.5) / 1.5))


def arch_density(vertebra: DonorVertebra) -> float:
    """Factor on the cortex of a donor's arch by its mineral on CT, 0.7 to 1.4; 1 where it is unknown."""
    ratio = vertebra.arch_mineral / ARCH_MINERAL[vertebra.level]
    return float(np.clip(ratio, 0.7, 1.4)) if np.isfinite(ratio) else 1.0


def _radius(body: Float, size: Float) -> Float:
    return np.asarray((2 * body[:, 0] / size[0]) ** 2 + (2 * body[:, 1] / size[1]) ** 2)


def mirrored(mesh: Mesh) -> Mesh:
    """A mesh with left and right exchanged."""
    flip = np.array([-1.0, 1.0, 1.0])
    return replace(
        mesh,
        vertices=mesh.vertices * flip,
        normals=mesh.normals * flip,
        faces=np.ascontiguousarray(mesh.faces[:, ::-1]),
    )
