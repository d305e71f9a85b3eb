"""The frame of a vertebra's mesh, from its endplates.

The axis is the mean of the endplates' normals, the plane of symmetry gives the front, the origin is the
middle of the body.
"""

import numpy as np
from scipy.spatial import cKDTree

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.bones import Mesh, make_mesh
from spinelift.simulate.body.donors import DonorVertebra

DISC_OF_RAYS = 0.33
"""Radius, over the body's depth, of the disc in which rays meet the endplates."""
TURNS_DEG: Float = np.arange(-14.0, 14.1, 1.0)
"""Turns about the axis that are tried for the plane of symmetry, degrees."""


def donor_vertebra(person: str, level: Vertebra, mesh: Mesh, middle: Float) -> DonorVertebra:
    """Put a mesh into the frame of its endplates; ``middle`` [3] is a point near the middle of its body."""
    triangles = mesh.vertices[mesh.faces]
    down, centre = np.array([0.0, 0.0, 1.0]), np.asarray(middle, np.float64)
    back = _across(mesh.vertices.mean(0) - centre, down)
    depth = morphometry.BODY_DEPTH[level]
    for _ in range(8):
        axes = np.stack([np.cross(back, down), back, down], 1)
        spot = _disc(DISC_OF_RAYS * depth)
        points = centre + spot @ axes[:, :2].T
        below, above = _exits(triangles, points, down), _exits(triangles, points, -down)
        seen = np.isfinite(below) & np.isfinite(above)
        spot, below, above = spot[seen], below[seen], above[seen]
        a = np.column_stack([spot, np.ones(len(spot))])
        lower, upper = (np.linalg.lstsq(a, d, rcond=None)[0] for d in (below, -above))
        normals = [axes @ [-fit[0], -fit[1], 1.0] for fit in (lower, upper)]
        centre = centre + down * (lower[2] + upper[2]) / 2
        height = float(below.mean() + above.mean())
        down = sum(n / np.linalg.norm(n) for n in normals)
        down /= np.linalg.norm(down)
        back = _across(back, down)
        front, behind = (_exits(triangles, centre[None], s * back)[0] for s in (-1, 1))
        centre = centre + back * (behind - front) / 2
        depth = float(front + behind)
    back = _symmetric(mesh.vertices - centre, back, down, height)
    left = np.cross(back, down)
    places = centre + back * np.linspace(-0.3, 0.0, 4)[:, None] * depth
    sides = np.stack([_exits(triangles, places, s * left) for s in (1, -1)])
    centre = centre + left * np.nanmedian(sides[0] - sides[1]) / 2
    frame = np.stack([left, back, down], 1)
    size = np.array([np.nanmax(sides.sum(0)), depth, height])
    size[:2] /= 1 - morphometry.WAIST
    local = make_mesh((mesh.vertices - centre) @ frame, mesh.faces)
    return DonorVertebra(person, level, local, size, centre, frame)


def _across(direction: Float, axis: Float) -> Float:
    """Unit vector of what a direction has across an axis."""
    out = direction - (direction @ axis) * axis
    return np.asarray(out / np.linalg.norm(out))


def _disc(radius: float) -> Float:
    """Points [n, 2] spread over a disc."""
    grid = np.linspace(-1, 1, 13)
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    return np.asarray(points[np.hypot(*points.T) <= 1] * radius)


def _exits(triangles: Float, points: Float, direction: Float) -> Float:
    """Distance [n] from points [n, 3] along a direction to the surface [f, 3, 3]; NaN where none is met."""
    u = np.cross(direction, np.eye(3)[np.argmin(np.abs(direction))])
    u /= np.linalg.norm(u)
    v = np.cross(direction, u)
    flat, start = triangles @ np.stack([u, v, direction], 1), points @ np.stack([u, v, direction], 1)
    near = (flat[..., :2].max(1) >= start[:, :2].min(0)) & (flat[..., :2].min(1) <= start[:, :2].max(0))
    flat = flat[near.all(1)]
    a, b, c = (flat[None, :, k] - start[:, None] for k in range(3))
    area = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], 2)
    total = area.sum(2)
    inside = ((area >= 0).all(2) | (area <= 0).all(2)) & (np.abs(total) > 1e-12)
    weight = area / np.where(inside, total, 1.0)[..., None]
    depth = (weight * np.stack([a[..., 2], b[..., 2], c[..., 2]], 2)).sum(2)
    depth = np.where(inside & (depth > 0), depth, np.inf).min(1, initial=np.inf)
    return np.where(np.isfinite(depth), depth, np.nan)


def _cross(a: Float, b: Float) -> Float:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _symmetric(points: Float, back: Float, down: Float, height: float) -> Float:
    """Direction to the back, turned about the axis, for which left and right are most alike."""
    some = points[(points @ back > 0.35 * height) | (np.abs(points @ down) < height / 2)]
    best, found = np.inf, back
    for angle in np.radians(TURNS_DEG):
        turned = np.cos(angle) * back + np.sin(angle) * np.cross(back, down)
        local = some @ np.stack([np.cross(turned, down), turned, down], 1)
        error = float(np.mean(cKDTree(local).query(local * [-1, 1, 1])[0]))
        if error < best:
            best, found = error, turned
    return np.asarray(found)
