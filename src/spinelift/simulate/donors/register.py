"""Donors on one topology: the mesh of another vertebra is bent onto each, so that vertices correspond.

Body and arch are fitted apart first, the body by its size, the arch by an affine map. Then every vertex has
an affine map of its own, and how much neighbours may differ grows in steps (Amberg, Romdhani and Vetter,
"Optimal step nonrigid ICP algorithms for surface registration", CVPR 2007). A vertex meets the point whose
place and normal are nearest, which keeps the two sides of a thin lamina apart; nearest places alone, as in
``trimesh.registration``, fold them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float, Integers
from spinelift.simulate.body.bones import Mesh, make_mesh
from spinelift.simulate.body.donors import DonorVertebra, arch_share
from spinelift.simulate.donors.folder import Refuse
from spinelift.simulate.donors.library import SHIPPED, load_library, topology_name
from spinelift.simulate.donors.surface import decimated

TRIANGLES = 1000
"""Of a vertebra, about."""
MEAN_MM, P95_MM, FLIPPED = 0.5, 1.2, 0.01
"""Greatest mean and 95th percentile of the distance between a vertebra and its registered mesh, and share
of the area that faces against it. A vertebra with more keeps its own mesh and is not blended."""
STARTS = 3
"""Vertebrae, nearest in level, that are bent onto a new one; the best fit is taken."""
POINTS = 12000
"""Of a vertebra's surface."""
NORMAL_MM = 8.0
"""Distance that counts as much as a right angle between normals does (over the square root of 2)."""
FAR_MM = 10.0
"""Distance from which a vertex has no corresponding point."""
AFFINE_ROUNDS, AFFINE_MM = 25, 6.0
"""Of the arch's affine map: rounds, and distance at which a point's weight has fallen to a half."""
STIFFNESS, ROUNDS = (20.0, 5.0, 2.0, 0.8, 0.3, 0.12, 0.05), 4
"""Weights of the differences between neighbours' maps, and rounds with each."""
UNIT_MM = 20.0
"""Length that balances the linear part of a map against its shift."""


@dataclass(frozen=True)
class Fit:
    """How far a registered mesh is from its vertebra.

    Parameters
    ----------
    mean_mm, p95_mm
        Distance of the surfaces, both ways: the larger mean, and the 95th percentile.
    flipped
        Share of the registered mesh's area whose normal is against the vertebra's.
    """

    mean_mm: float
    p95_mm: float
    flipped: float

    def __str__(self) -> str:
        return (
            f"{self.mean_mm:.2f} mm off on average, {self.p95_mm:.1f} mm at the 95th percentile, "
            f"{self.flipped:.1%} of the surface turned over"
        )

    @property
    def score_mm(self) -> float:
        """What the best of several fits has least of."""
        return self.mean_mm + self.p95_mm / 4

    @property
    def good(self) -> bool:
        """Whether the registered mesh may stand for the vertebra."""
        return self.mean_mm <= MEAN_MM and self.p95_mm <= P95_MM and self.flipped <= FLIPPED


def named(bone: DonorVertebra) -> DonorVertebra:
    """A vertebra whose mesh is a topology that others are registered to."""
    region = "thoracic" if bone.level <= Vertebra.T12 else "lumbar"
    return replace(bone, topology=topology_name(region, bone.mesh.faces), fit_mm=0.0)


def shipped_starts() -> list[DonorVertebra]:
    """The registered vertebrae of the shipped library."""
    return [bone for bone in load_library([SHIPPED]).vertebrae if bone.topology]


def register_all(
    bones: Iterable[DonorVertebra],
    starts: Sequence[DonorVertebra],
    *,
    triangles: int = TRIANGLES,
    refuse: Refuse | None = None,
) -> list[DonorVertebra]:
    """`register` of each; ``refuse`` is called for those that keep a mesh of their own, with the reason."""
    out = []
    for bone in bones:
        made, fit = register(bone, starts, triangles)
        if not made.topology and refuse:
            refuse(
                f"{bone.person} {bone.level.name}",
                str(fit) if fit else "no donor of its region is registered",
            )
        out.append(made)
    return out


def register(
    bone: DonorVertebra, starts: Sequence[DonorVertebra], triangles: int
) -> tuple[DonorVertebra, Fit | None]:
    """The vertebra on the topology of ``starts`` and how well that fits.

    If it does not fit, or there is no start of its region, the vertebra has a mesh of its own with about
    ``triangles``.
    """
    region = [s for s in starts if s.topology and (s.level <= Vertebra.T12) == (bone.level <= Vertebra.T12)]
    near = sorted(region, key=lambda s: abs(s.level - bone.level))[:STARTS]
    surface = _Surface(bone.mesh)
    best: tuple[DonorVertebra, Fit] | None = None
    for start in near:
        points = _bent(_apart(start, bone.size, surface), start.mesh.faces, surface)
        fit = fit_of(points, start.mesh.faces, bone.mesh)
        if best is None or fit.score_mm < best[1].score_mm:
            mesh = make_mesh(points, start.mesh.faces)
            made = replace(bone, mesh=mesh, topology=start.topology, cortex=start.cortex, fit_mm=fit.mean_mm)
            best = made, fit
    if best is not None and best[1].good:
        return best
    return coarse(bone, triangles), best[1] if best else None


class _Surface:
    """Points of a vertebra with their normals."""

    def __init__(self, mesh: Mesh) -> None:
        import trimesh

        surface: Any = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        points, faces = trimesh.sample.sample_surface(surface, POINTS, seed=0)
        triangles: Any = trimesh.triangles
        weight = triangles.points_to_barycentric(surface.triangles[faces], points)
        normals = (weight[:, :, None] * mesh.normals[mesh.faces[faces]]).sum(1)
        self.points = np.asarray(points, np.float64)
        self.normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        self.tree = cKDTree(np.hstack([self.points, NORMAL_MM * self.normals]))

    def nearest(self, points: Float, faces: Integers) -> tuple[Float, Float]:
        """Points [n, 3] that vertices correspond to, and cosines [n] of the angles between normals."""
        normals = make_mesh(points, faces).normals
        _, at = self.tree.query(np.hstack([points, NORMAL_MM * normals]))
        return self.points[at], (normals * self.normals[at]).sum(1)


def _apart(start: DonorVertebra, size: Float, surface: _Surface) -> Float:
    """Vertices of ``start`` the body stretched to ``size``, the arch by the affine map of best fit."""
    points = start.mesh.vertices
    behind = points[:, 1] - start.size[1] / 2
    back = arch_share(behind)[:, None]
    origin = points - [0, start.size[1] / 2, 0]
    own, other = origin[behind > 0], surface.points[surface.points[:, 1] > size[1] / 2]
    scale = np.ptp(other, axis=0) / np.ptp(own, axis=0)
    scale[2] = scale[1:].mean()
    arch, body = origin * scale + [0, size[1] / 2, 0], points * size / start.size
    basis = np.column_stack([origin, np.ones(len(points))])
    for _ in range(AFFINE_ROUNDS):
        now = body * (1 - back) + arch * back
        goal, _ = surface.nearest(now, start.mesh.faces)
        weight = (behind > 1.5) / (1 + ((goal - now) ** 2).sum(1) / AFFINE_MM**2)
        left = (basis * weight[:, None]).T
        arch = basis @ np.linalg.solve(left @ basis + 1e-9 * np.eye(4), left @ goal)
    return np.asarray(body * (1 - back) + arch * back)


def _bent(points: Float, faces: Integers, surface: _Surface) -> Float:
    """Vertices moved onto the surface by an affine map each, alike for neighbours."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    n, m = len(points), len(edges)
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    slope = length.mean() / length
    arcs = sparse.csr_matrix(
        (np.concatenate([slope, -slope]), (np.tile(np.arange(m), 2), edges.T.ravel())), (m, n)
    )
    differences = sparse.kron(arcs, np.eye(4), format="csr")
    stiff = (differences.T @ differences).tocsc()
    own = np.column_stack([(points - points.mean(0)) / UNIT_MM, np.ones(n)])
    data = sparse.csr_matrix((own.ravel(), (np.repeat(np.arange(n), 4), np.arange(4 * n))), (n, 4 * n))
    now = points
    for weight in np.repeat(STIFFNESS, ROUNDS):
        goal, cosine = surface.nearest(now, faces)
        trust = np.clip(cosine, 0, 1) * (np.linalg.norm(goal - now, axis=1) < FAR_MM)
        system = weight * stiff + data.T @ sparse.diags(trust) @ data
        now = data @ splu(system.tocsc()).solve(data.T @ (trust[:, None] * goal))
    return np.asarray(now)


def coarse(bone: DonorVertebra, triangles: int) -> DonorVertebra:
    """A vertebra with at most about ``triangles``."""
    return replace(bone, mesh=make_mesh(*decimated(bone.mesh.vertices, bone.mesh.faces, triangles)))


def fit_of(points: Float, faces: Integers, mesh: Mesh) -> Fit:
    """How far the mesh of vertices [n, 3] and ``faces`` is from another."""
    import trimesh

    new: Any = trimesh.Trimesh(points, faces, process=False)
    old: Any = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    there, at = trimesh.sample.sample_surface(new, POINTS // 4, seed=1)
    here, _ = trimesh.sample.sample_surface(old, POINTS // 4, seed=2)
    to_old, meets = _distances(there, old)
    to_new, _ = _distances(here, new)
    flipped = float(((new.face_normals[at] * old.face_normals[meets]).sum(1) < 0).mean())
    p95 = float(np.percentile(np.concatenate([to_old, to_new]), 95))
    return Fit(float(max(to_old.mean(), to_new.mean())), p95, flipped)


def _distances(points: Float, mesh: Any) -> tuple[Float, Integers]:
    """Distance [n] of points to a `trimesh.Trimesh`, and the triangles that they meet."""
    import trimesh

    near = 12
    triangles: Any = trimesh.triangles
    at = np.asarray(cKDTree(mesh.triangles_center).query(points, k=near)[1])
    places = triangles.closest_point(mesh.triangles[at.ravel()], np.repeat(points, near, 0))
    distance = np.linalg.norm(places.reshape(-1, near, 3) - points[:, None], axis=2)
    best = distance.argmin(1)
    rows = np.arange(len(points))
    return distance[rows, best], at[rows, best]
