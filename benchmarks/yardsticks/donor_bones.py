"""Vertebrae of real people as closed meshes, each in a frame of its own.

A folder of donors holds ``index.csv`` with the columns ``file, person, level, body_centre_left_mm,
body_centre_post_mm, body_centre_up_mm`` (the last three: the middle of the body) and the closed STL meshes
that it names, in mm, patient axes LPS (z to the head).

The frame of a vertebra comes from its endplates: the axis is the mean of their normals, the plane of
symmetry gives the front, the origin is the middle of the body.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from spinelift.errors import ConfigError
from spinelift.geometry import Vertebra
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.bones import Mesh, make_mesh, outward

Float = NDArray[np.float64]
DISC_OF_RAYS = 0.33
"""Radius, over the body's depth, of the disc in which rays meet the endplates."""
TURNS_DEG: Float = np.arange(-14.0, 14.1, 1.0)
"""Turns about the axis that are tried for the plane of symmetry, degrees."""


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
    """

    person: str
    level: Vertebra
    mesh: Mesh
    size: Float
    centre: Float
    frame: Float


def load_donors(folder: Path, wanted: Iterable[tuple[str, Vertebra]]) -> list[DonorVertebra]:
    """Vertebrae of a folder of donors by person and level, as far as the folder has them.

    Raises
    ------
    ConfigError
        The folder has no usable ``index.csv``, or a mesh cannot be read or is not closed.
    """
    keys = set(wanted)
    out = []
    try:
        with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
            rows = [r for r in csv.DictReader(file) if r["level"] in Vertebra.__members__]
        for row in rows:
            key = (row["person"], Vertebra[row["level"]])
            if key in keys:
                middle = np.array([float(row[f"body_centre_{a}_mm"]) for a in ("left", "post", "up")])
                out.append(donor_vertebra(*key, _read(folder / row["file"]), middle * [1, 1, -1]))
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            found=f"a folder of donors that cannot be used: {error!r}",
            expected="index.csv and the closed STL meshes that it names",
            do="Check --anatomy.",
        ) from error
    return out


def _read(path: Path) -> Mesh:
    """A closed STL mesh in patient axes with z to the feet."""
    import trimesh

    mesh: Any = trimesh.load(path, force="mesh")
    if not mesh.is_watertight:
        raise ValueError(f"{path.name} is not closed")
    # z turned round makes the axes left-handed; `outward` takes them as right-handed
    return outward(make_mesh(np.asarray(mesh.vertices) * [1, 1, -1], np.asarray(mesh.faces)))


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
