"""Closed triangle meshes: whether they are closed, and fewer triangles."""

import heapq
from itertools import combinations

import numpy as np

from spinelift.geometry.arrays import Float, Int32, Integers

FLIP = 0.2
"""Least cosine between a triangle's normals before and after an edge is collapsed."""


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
        edges = {tuple(sorted(pair)) for face in self.faces for pair in combinations(face, 2)}
        for u, v in sorted(edges):
            self.push(u, v)

    def target(self, u: int, v: int) -> tuple[float, Float]:
        """Error and place of the vertex that an edge would become."""
        quadric = self.quadrics[u] + self.quadrics[v]
        middle = (self.points[u] + self.points[v]) / 2
        a = quadric[:3, :3] + 1e-3 * np.trace(quadric[:3, :3]) * np.eye(3)
        place = middle + np.linalg.solve(a, -quadric[:3, :3] @ middle - quadric[:3, 3])
        h = np.append(place, 1.0)
        return float(h @ quadric @ h), place

    def push(self, u: int, v: int) -> None:
        u, v = min(u, v), max(u, v)
        heapq.heappush(self.heap, (self.target(u, v)[0], u, v, (self.age[u], self.age[v])))

    def around(self, vertex: int) -> set[int]:
        return {k for face in self.at[vertex] for k in self.faces[face]} - {vertex}

    def collapse(self, u: int, v: int) -> None:
        shared = self.at[u] & self.at[v]
        if len(self.around(u) & self.around(v)) != 2 or len(shared) != 2:
            return
        _, place = self.target(u, v)
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
        for vertex in sorted(self.around(u)):
            self.push(u, vertex)

    def result(self) -> tuple[Float, Int32]:
        faces = np.array([face for face in self.faces if face], np.int32)
        used, numbered = np.unique(faces, return_inverse=True)
        return self.points[used], numbered.reshape(-1, 3).astype(np.int32)
