"""Schematic vertebra and level ring as triangle meshes, made by code; no one's anatomy.

Unit coordinates in patient axes (left, posterior, feet): the body reaches from -1 to 1 along each. Faces are
outward by the right-hand rule on these numbers. Proportions are rounded from anatomy textbooks.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float

THORACIC, LUMBAR = "thoracic", "lumbar"
_BODY = ((-1.0, 0.93), (-0.82, 1.0), (0.0, 0.86), (0.82, 1.0), (1.0, 0.93))
"""Height and width of the body's rings."""
_LIMB = ((0.0, 0.75), (0.12, 1.0), (0.85, 1.0), (1.0, 0.6))
"""Position along a process and thickness of its rings."""
_FLAT_BACK = 0.86
"""Depth of the body's back half over that of its front half."""
_LEFT, _POSTERIOR, _FEET = np.eye(3)


@dataclass(frozen=True)
class Mesh:
    """Vertices [v, 3] and triangles [f, 3] of one or several closed surfaces."""

    vertices: Float
    faces: NDArray[np.int64]

    def moved(self, matrix: Float) -> "Mesh":
        """The mesh after an affine transform [4, 4] without reflection."""
        return Mesh(self.vertices @ matrix[:3, :3].T + matrix[:3, 3], self.faces)


def shape_of(level: Vertebra) -> str:
    """Which of the two shapes a vertebra has."""
    return LUMBAR if level >= Vertebra.L1 else THORACIC


@lru_cache
def vertebra(shape: str) -> Mesh:
    """A body with arch and processes."""
    if shape == THORACIC:
        tip, across, spinous = (2.35, 2.6, -0.2), (0.3, 0.3), (4.2, 2.4)
        thick, tall = (0.2, 0.16), (0.55, 0.35)
    else:
        tip, across, spinous = (1.95, 1.7, -0.1), (0.24, 0.28), (3.6, 0.55)
        thick, tall = (0.16, 0.14), (0.7, 0.75)
    parts = [_body()]
    for side in (-1.0, 1.0):
        x = side * _LEFT
        joint = 0.72 * x + 1.75 * _POSTERIOR - 0.15 * _FEET
        pedicle = 0.6 * x + 0.6 * _POSTERIOR - 0.35 * _FEET
        end = tip[0] * x + tip[1] * _POSTERIOR + tip[2] * _FEET
        roof = 2.6 * _POSTERIOR + 0.3 * _FEET
        parts += [
            _limb(pedicle, joint, (0.22, 0.25), (0.4, 0.4), (_LEFT, _FEET)),
            _limb(joint, end, across, (0.38, 0.26), (_POSTERIOR, _FEET)),
            _limb(joint, roof, (0.24, 0.24), (0.6, 0.6), (_POSTERIOR, _FEET)),
            _limb(joint - 0.9 * _FEET, joint + 1.3 * _FEET, (0.2, 0.2), (0.22, 0.22), (_LEFT, _POSTERIOR)),
        ]
    end = spinous[0] * _POSTERIOR + spinous[1] * _FEET
    parts.append(_limb(2.35 * _POSTERIOR + 0.2 * _FEET, end, thick, tall, (_LEFT, _FEET)))
    return _joined(parts)


@lru_cache
def level_ring(segments: int = 32) -> Mesh:
    """A thin ring about the body's middle, a little wider than the body."""
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    out = np.stack([np.cos(angle), np.sin(angle), np.zeros(segments)], -1)
    section = ((1.03, 0.0), (1.1, -0.09), (1.1, 0.09))
    vertices = np.stack([r * out + z * _FEET for r, z in section], 1).reshape(-1, 3)
    i, k = np.meshgrid(np.arange(segments), np.arange(3), indexing="ij")
    j, m = (i + 1) % segments, (k + 1) % 3
    a, b, c, d = (row.ravel() * 3 + column.ravel() for row in (i, j) for column in (k, m))
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    return _outward(Mesh(vertices, faces.astype(np.int64)))


def _body(segments: int = 20) -> Mesh:
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    y = np.sin(angle) * np.where(np.sin(angle) > 0, _FLAT_BACK, 1.0)
    ring = np.stack([np.cos(angle), y, np.zeros(segments)], -1)
    return _lofted(np.stack([width * ring + z * _FEET for z, width in _BODY]))


def _limb(
    start: Float,
    end: Float,
    p_half: tuple[float, float],
    q_half: tuple[float, float],
    axes: tuple[Float, Float],
    segments: int = 8,
) -> Mesh:
    """A process from ``start`` to ``end``: ellipses in the plane of ``axes``, half axes at start and end."""
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = []
    for t, scale in _LIMB:
        p, q = (scale * (half[0] + t * (half[1] - half[0])) for half in (p_half, q_half))
        around = np.outer(p * np.cos(angle), axes[0]) + np.outer(q * np.sin(angle), axes[1])
        rings.append(start + t * (end - start) + around)
    return _lofted(np.stack(rings))


def _lofted(rings: Float) -> Mesh:
    """Closed surface through rings [n, segments, 3], with flat ends."""
    n, segments, _ = rings.shape
    i, j = np.meshgrid(np.arange(n - 1), np.arange(segments), indexing="ij")
    a, b = (i * segments + j).ravel(), (i * segments + (j + 1) % segments).ravel()
    side = [np.stack([a, b, a + segments], 1), np.stack([b, b + segments, a + segments], 1)]
    k, last = np.arange(1, segments - 1), (n - 1) * segments
    caps = [np.stack([0 * k, k + 1, k], 1), last + np.stack([0 * k, k, k + 1], 1)]
    return _outward(Mesh(rings.reshape(-1, 3), np.concatenate([*side, *caps]).astype(np.int64)))


def _outward(mesh: Mesh) -> Mesh:
    """The closed mesh with its faces turned outward."""
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    return mesh if np.einsum("ij,ij->", a, np.cross(b, c)) > 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1])


def _joined(parts: list[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [part.faces + start for part, start in zip(parts, starts, strict=False)]
    return Mesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces))
