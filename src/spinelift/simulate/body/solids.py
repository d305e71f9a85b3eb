"""Tissues, and the closed solids that a body is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from spinelift.geometry.arrays import Float, Int32
from spinelift.simulate.body.bones import Mesh, make_mesh


class Tissue(IntEnum):
    """What a solid is made of; the number is the row of a person's `composition` table."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    VISCERA = 3
    ORGAN = 4
    LUNG = 5
    CARTILAGE = 6
    CORTEX = 7
    SPINE_CORTEX = 8
    SPINE_TRABECULAR = 9
    RIB_TRABECULAR = 10
    LIMB_TRABECULAR = 11
    METAL = 12


MATERIALS = ("bone", "lean", "fat")
"""Columns of a composition table: cortical-bone-like, muscle-like and adipose mass, g/cm³."""


@dataclass(frozen=True)
class Solid:
    """A closed mesh of one tissue that lies inside another.

    Parameters
    ----------
    name
        Which structure this is; unique in a body but for its shells.
    points, faces
        Vertices [v, 3] in mm and triangles [f, 3], outward.
    tissue
        What it is made of.
    displaces
        What would be there without it. A body is painted in order: later solids win.
    density
        Factor on its own tissue's mass.
    """

    name: str
    points: Float
    faces: Int32
    tissue: Tissue
    displaces: Tissue
    density: float = 1.0

    def mass(self, composition: Float) -> Float:
        """What a millimetre of the solid adds to the maps, g/cm² of bone, lean and fat [3]."""
        return np.asarray(composition[self.tissue] * self.density - composition[self.displaces]) / 10.0


def points_of(solids: Iterable[Solid], *prefixes: str) -> Float:
    """Points [n, 3] of all solids whose name begins with one of ``prefixes``."""
    return np.concatenate([solid.points for solid in solids if solid.name.startswith(prefixes)])


def shell(
    name: str,
    mesh: Mesh,
    thickness_mm: Float | float,
    core: Tissue,
    *,
    cortex: Tissue = Tissue.CORTEX,
    density: float = 1.0,
) -> list[Solid]:
    """A bone in muscle: its outer surface of cortex, and inside it, ``thickness_mm`` deep, its core."""
    inner = mesh.vertices - mesh.normals * np.reshape(thickness_mm, (-1, 1))
    return [
        Solid(name, mesh.vertices, mesh.faces, cortex, Tissue.MUSCLE, density),
        CoreSolid(name, inner, mesh.faces, core, cortex, density),
    ]


def limb_bone(name: str, mesh: Mesh, cortex_mm: float, rng: np.random.Generator) -> list[Solid]:
    """A `shell` with the core of limbs and pelvis, and cortex of random thickness about ``cortex_mm``."""
    return shell(name, mesh, cortex_mm * float(np.exp(rng.normal(0, 0.15))), Tissue.LIMB_TRABECULAR)


@dataclass(frozen=True)
class CoreSolid(Solid):
    """The inside of a shell, whose density factor holds for what it displaces as well."""

    def mass(self, composition: Float) -> Float:
        """Difference between core and cortex, g/cm² a millimetre [3]."""
        return np.asarray(composition[self.tissue] - composition[self.displaces]) * self.density / 10.0


def loft(centres: Float, half: Float, *, segments: int = 28, exponent: float = 2.0) -> tuple[Float, Int32]:
    """Closed mesh through horizontal superellipses: centres [n, 3], half axes (x, y) [n, 2], mm.

    Heights must increase; the superellipse is ``|x/a|^p + |y/b|^p = 1`` with ``p = exponent``.
    """
    n = len(centres)
    angle = 2 * np.pi * np.arange(segments) / segments
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    ring = np.sign(circle) * np.abs(circle) ** (2 / exponent)
    points = np.repeat(centres[:, None], segments, 1)
    points[:, :, :2] += ring[None] * half[:, None]
    vertices = np.concatenate([points.reshape(-1, 3), centres[[0]], centres[[-1]]])
    k, i = np.arange(segments), np.arange(n - 1)[:, None] * segments
    nxt = (k + 1) % segments
    a, b = i + k, i + nxt
    corners = ((a, b, a + segments), (b, b + segments, a + segments))
    side = np.concatenate([np.stack(triangle, 2).reshape(-1, 3) for triangle in corners])
    top = np.stack([np.full(segments, n * segments), nxt, k], 1)
    low = (n - 1) * segments
    bottom = np.stack([np.full(segments, n * segments + 1), low + k, low + nxt], 1)
    return vertices, np.concatenate([side, top, bottom]).astype(np.int32)


def loft_mesh(centres: Float, half: Float, *, segments: int = 28, exponent: float = 2.0) -> Mesh:
    """`loft` as a mesh with normals."""
    return make_mesh(*loft(centres, half, segments=segments, exponent=exponent))


def ellipsoid(centre: Float, radii: Float, *, rings: int = 9, segments: int = 16) -> tuple[Float, Int32]:
    """Closed mesh of an ellipsoid with half axes ``radii`` [3] mm."""
    t = np.cos(np.linspace(np.pi, 0, rings + 2)[1:-1])
    centres = np.asarray(centre) + np.stack([0 * t, 0 * t, t * radii[2]], 1)
    half = np.sqrt(1 - t**2)[:, None] * np.asarray(radii)[None, :2]
    points, faces = loft(centres, half, segments=segments)
    points[-2:, 2] = centre[2] - radii[2], centre[2] + radii[2]
    return points, faces
