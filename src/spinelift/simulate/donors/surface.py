"""Closed triangle meshes: from masks, whether they are closed, and fewer triangles."""

import heapq
from itertools import combinations
from typing import Any

import numpy as np
from scipy import ndimage

from spinelift.geometry.arrays import Bool, Float, Int32, Integers

FLIP = 0.2
"""Least cosine between a triangle's normals before and after an edge is collapsed."""
STEP_MM = 1.6
"""Grid on which a mask is made a surface."""
SMOOTHING_STEPS = 5
"""Of Taubin's filter, which keeps the volume."""


def surface_of(mask: Bool, spacing: Float) -> tuple[Float, Int32]:
    """Closed surface of a mask [x, y, z] with voxels of ``spacing`` [3] mm: vertices in voxels, triangles.

    The signed distance to the mask is interpolated, so that thick slices make no steps, smoothed, and cut by
    surface nets (Gibson 1998), one vertex in each cell that the surface crosses, at the level that keeps the
    mask's volume.
    """
    inside = np.pad(mask, 3)
    distance = ndimage.distance_transform_edt(inside, sampling=spacing)
    distance -= ndimage.distance_transform_edt(~inside, sampling=spacing)
    step = STEP_MM / np.asarray(spacing)
    shape = tuple(int((n - 1) / s) + 1 for n, s in zip(inside.shape, step, strict=True))
    field = ndimage.affine_transform(distance, step, output_shape=shape, order=1, mode="nearest")
    field = ndimage.gaussian_filter(field, 0.6)
    field -= np.quantile(field, 1 - mask.sum() / step.prod() / field.size)
    vertices, faces = _surface_nets(field)
    return _smooth(vertices, faces) * step - 3, faces


def _surface_nets(field: Float) -> tuple[Float, Int32]:
    """Surface where a field [x, y, z], negative at its border, passes 0."""
    positive = field > 0
    cells = np.array(field.shape) - 1
    total, count = np.zeros((*cells, 3)), np.zeros(cells)
    quads = []
    for axis in range(3):
        low = [slice(0, -1) if k == axis else slice(None) for k in range(3)]
        high = [slice(1, None) if k == axis else slice(None) for k in range(3)]
        at = np.argwhere(positive[tuple(low)] != positive[tuple(high)])
        upper = at + np.eye(3, dtype=int)[axis]
        a, b = field[tuple(at.T)], field[tuple(upper.T)]
        crossing = at + (a / (a - b))[:, None] * np.eye(3)[axis]
        u, v = (axis + 1) % 3, (axis + 2) % 3
        around = []
        for du, dv in ((0, 0), (-1, 0), (-1, -1), (0, -1)):
            cell = at.copy()
            cell[:, u] += du
            cell[:, v] += dv
            np.add.at(total, tuple(cell.T), crossing)
            np.add.at(count, tuple(cell.T), 1)
            around.append(np.ravel_multi_index(tuple(cell.T), tuple(cells)))
        quad = np.stack(around, 1)
        quads.append(np.where((a > 0)[:, None], quad, quad[:, ::-1]))
    corners = np.concatenate(quads)
    used, numbered = np.unique(corners, return_inverse=True)
    numbered = numbered.reshape(-1, 4)
    vertices = total.reshape(-1, 3)[used] / count.reshape(-1)[used, None]
    return vertices, np.concatenate([numbered[:, [0, 1, 2]], numbered[:, [0, 2, 3]]]).astype(np.int32)


def _smooth(vertices: Float, faces: Int32) -> Float:
    import trimesh

    smoothing: Any = trimesh.smoothing
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    smoothing.filter_taubin(mesh, lamb=0.5, nu=0.53, iterations=SMOOTHING_STEPS)
    return np.asarray(mesh.vertices, np.float64)


def is_closed(faces: Integers) -> bool:
    """Whether every edge of triangles [f, 3] is passed equally often in both directions."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    n = int(edges.max(initial=0)) + 1
    forth, back = edges[:, 0] * n + edges[:, 1], edges[:, 1] * n + edges[:, 0]
    return bool(len(faces)) and np.array_equal(np.sort(forth), np.sort(back))


def decimated(vertices: Float, faces: Integers, triangles: int) -> tuple[Float, Int32]:
    """The mesh with at most about ``triangles``, as closed as before.

    Edges are collapsed in the order of their quadric error (Garland & Heckbert 1997). An edge whose collapse
    would change the topology or turn a triangle over is left.
    """
    mesh = _Collapsing(vertices, faces)
    while mesh.count > triangles and mesh.heap:
        _, u, v, age = heapq.heappop(mesh.heap)
        if age == (mesh.age[u], mesh.age[v]):
            mesh.collapse(u, v)
    return mesh.result()


class _Collapsing:
    """A mesh while its edges are collapsed; vertices and triangles that are gone have no neighbours."""

    def __init__(self, vertices: Float, faces: Integers) -> None:
        self.points = np.array(vertices, np.float64)
        self.faces = [list(map(int, face)) for face in faces]
        self.at: list[set[int]] = [set() for _ in self.points]
        self.quadrics = np.zeros((len(self.points), 4, 4))
        self.age = [0] * len(self.points)
        self.count = len(self.faces)
        for k, face in enumerate(self.faces):
            a, b, c = self.points[face]
            normal = np.cross(b - a, c - a)
            area = np.linalg.norm(normal)
            plane = np.append(normal, -normal @ a) / max(area, 1e-12)
            for vertex in face:
                self.at[vertex].add(k)
                self.quadrics[vertex] += area * np.outer(plane, plane)
        self.heap: list[tuple[float, int, int, tuple[int, int]]] = []
        edges = {(min(pair), max(pair)) for face in self.faces for pair in combinations(face, 2)}
        self.push(np.array(sorted(edges)))

    def targets(self, edges: Integers) -> tuple[Float, Float]:
        """Errors [n] and places [n, 3] of the vertices that edges [n, 2] would become."""
        quadric = self.quadrics[edges].sum(1)
        middle = self.points[edges].mean(1)
        a, b = quadric[:, :3, :3], quadric[:, :3, 3]
        stiff = a + 1e-3 * np.trace(a, axis1=1, axis2=2)[:, None, None] * np.eye(3)
        gradient = (a @ middle[..., None])[..., 0] + b
        place = middle - np.linalg.solve(stiff, gradient[..., None])[..., 0]
        error = ((a @ place[..., None])[..., 0] * place + 2 * b * place).sum(1) + quadric[:, 3, 3]
        return error, place

    def push(self, edges: Integers) -> None:
        for error, (u, v) in zip(self.targets(edges)[0].tolist(), edges.tolist(), strict=True):
            heapq.heappush(self.heap, (error, u, v, (self.age[u], self.age[v])))

    def around(self, vertex: int) -> set[int]:
        return {k for face in self.at[vertex] for k in self.faces[face]} - {vertex}

    def collapse(self, u: int, v: int) -> None:
        shared = self.at[u] & self.at[v]
        if len(self.around(u) & self.around(v)) != 2 or len(shared) != 2:
            return
        place = self.targets(np.array([[u, v]]))[1][0]
        moved = sorted((self.at[u] | self.at[v]) - shared)
        corners = np.array([self.faces[k] for k in moved])
        old = self.points[corners]
        new = np.where(np.isin(corners, (u, v))[..., None], place, old)
        before, after = (np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]) for t in (old, new))
        size = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        if ((before * after).sum(1) <= FLIP * size).any():
            return
        for face in shared:
            for vertex in self.faces[face]:
                self.at[vertex].discard(face)
            self.faces[face] = []
        for face in self.at[v]:
            self.faces[face] = [u if vertex == v else vertex for vertex in self.faces[face]]
        self.at[u] |= self.at[v]
        self.at[v] = set()
        self.points[u], self.quadrics[u] = place, self.quadrics[u] + self.quadrics[v]
        self.count -= 2
        self.age[u] += 1
        self.age[v] += 1
        self.push(np.array([(min(u, other), max(u, other)) for other in sorted(self.around(u))]))

    def result(self) -> tuple[Float, Int32]:
        faces = np.array([face for face in self.faces if face], np.int32)
        used, numbered = np.unique(faces, return_inverse=True)
        return self.points[used], numbered.reshape(-1, 3).astype(np.int32)
