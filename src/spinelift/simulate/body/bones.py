"""Bones of one adult as closed meshes, in patient axes, from the `myo-sim` package (Apache-2.0).

All bones stand in one neutral pose: mm, x to the left, y to posterior, z to the feet, origin of the
trunk's own frame. Meshes whose surface is not quite closed project with small flaws, so the long bones but
the femur are shafts of `skeleton`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.geometry.arrays import Float, Int32, Integers
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.kernels import missing_package

# Where the package's joint definitions put one bone's frame in another's (OpenSim axes, metres:
# x forward, y up, z right).
_TRUNK_IN_PELVIS = np.array([-0.1007, 0.0815, 0.0])
_HIP_IN_PELVIS = np.array([-0.0707, -0.0661, 0.0835])


@dataclass(frozen=True)
class Mesh:
    """Closed triangle mesh: vertices [v, 3] mm, faces [f, 3] outward, unit vertex normals [v, 3]."""

    vertices: Float
    faces: Int32
    normals: Float


@dataclass(frozen=True)
class TemplateVertebra:
    """A vertebra in its own frame (left, posterior, down; origin at the body's centre).

    ``mesh`` has its body scaled to width, depth and height 1 about the origin along the three axes of
    ``size`` mm; what lies behind the body keeps millimetres of the template.
    """

    mesh: Mesh
    size: Float


@dataclass(frozen=True)
class Template:
    """The skeleton's neutral pose.

    ``centres`` [17, 3] and ``frames`` [17, 3, 3] are those of the template's own spine; ``parts`` maps
    names to meshes in the common pose.
    """

    vertebrae: tuple[TemplateVertebra, ...]
    centres: Float
    frames: Float
    parts: dict[str, Mesh]


def _folder() -> Path:
    spec = find_spec("myo_sim")
    if spec is None or not spec.submodule_search_locations:
        raise missing_package("myo-sim")
    return Path(next(iter(spec.submodule_search_locations))) / "models" / "meshes"


def _pieces(name: str, offset: Float | float = 0.0) -> list[Mesh]:
    """Connected pieces of one STL file, in mm and patient axes, largest first."""
    import trimesh

    repair: Any = trimesh.repair
    whole: Any = trimesh.load(_folder() / f"{name}.stl")
    whole.merge_vertices()
    pieces = [p for p in whole.split(only_watertight=False) if len(p.faces) >= 40]
    out = []
    for piece in sorted(pieces, key=lambda p: -len(p.faces)):
        repair.fill_holes(piece)
        repair.fix_normals(piece)
        if piece.volume < 0:
            piece.invert()
        # OpenSim axes in metres (forward, up, right) → patient axes in mm (left, posterior, feet); three
        # reflections turn the winding round.
        vertices = -(np.asarray(piece.vertices) + offset)[:, [2, 0, 1]] * 1000.0
        out.append(make_mesh(vertices, np.asarray(piece.faces)[:, ::-1]))
    return out


def make_mesh(vertices: Float, faces: Integers) -> Mesh:
    """A mesh with its vertex normals (area-weighted)."""
    v, f = np.asarray(vertices, np.float64), np.ascontiguousarray(faces, dtype=np.int32)
    face_normal = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
    normals = np.zeros_like(v)
    for k in range(3):
        np.add.at(normals, f[:, k], face_normal)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return Mesh(v, f, normals)


def signed_volume(vertices: Float, faces: Integers) -> float:
    """Volume of a closed mesh, mm³; negative when its faces point inward (axes taken as right-handed)."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def outward(mesh: Mesh) -> Mesh:
    """The mesh with faces wound so that its signed volume is positive."""
    if signed_volume(mesh.vertices, mesh.faces) < 0:
        return make_mesh(mesh.vertices, mesh.faces[:, ::-1])
    return mesh


@cache
def template() -> Template:
    """The neutral skeleton; read once a process.

    Raises
    ------
    MissingExtraError
        If `myo-sim` is not installed.
    """
    pieces = _pieces("hat_thoracic") + _pieces("hat_lumbar")
    bodies = _downwards(outward(p) for p in pieces if len(p.faces) == 424)
    discs = [disc.vertices for disc in _downwards(p for p in pieces if len(p.faces) < 60)]
    if len(bodies) != N_LEVELS or len(discs) != N_LEVELS + 1:
        raise RuntimeError(f"myo-sim holds {len(bodies)} vertebrae and {len(discs)} discs, not 17 and 18")
    middle = np.array([d.mean(0) for d in discs])
    centres = (middle[1:] + middle[:-1]) / 2
    centres[:, 0] = 0.0
    frames = np.empty((N_LEVELS, 3, 3))
    vertebrae = []
    left = np.array([1.0, 0.0, 0.0])
    for i, body in enumerate(bodies):
        down = (middle[i + 1] - middle[i]) * [0, 1, 1]
        down /= np.linalg.norm(down)
        frames[i] = np.stack([left, np.cross(down, left), down], 1)
        vertebra, shift = _own_frame(body, centres[i], frames[i], np.concatenate(discs[i : i + 2]))
        vertebrae.append(vertebra)
        centres[i] += frames[i] @ shift
    return Template(tuple(vertebrae), centres, frames, _other_parts())


def _downwards(meshes: Iterable[Mesh]) -> list[Mesh]:
    return sorted(meshes, key=lambda mesh: float(mesh.vertices[:, 2].mean()))


def _own_frame(body: Mesh, centre: Float, frame: Float, discs: Float) -> tuple[TemplateVertebra, Float]:
    """A vertebra in its own frame, and the shift of its body's true centre from ``centre`` there.

    One Loop subdivision makes four times the triangles and rounder edges. ``discs`` [n, 3] are points of the
    discs above and below.
    """
    import trimesh

    remesh: Any = trimesh.remesh
    body = outward(make_mesh(*remesh.subdivide_loop(body.vertices, body.faces, iterations=1)))
    local = (body.vertices - centre) @ frame
    back = np.percentile(((discs - centre) @ frame)[:, 1], 97)
    in_body = local[:, 1] <= back
    core = in_body & (np.abs(local[:, 0]) < 12)
    lo = np.array([local[in_body, 0].min(), local[:, 1].min(), np.percentile(local[core, 2], 10)])
    hi = np.array([local[in_body, 0].max(), back, np.percentile(local[core, 2], 90)])
    shift = np.array([0.0, (lo[1] + hi[1]) / 2, (lo[2] + hi[2]) / 2])
    return TemplateVertebra(make_mesh(local - shift, body.faces), hi - lo), shift


def _other_parts() -> dict[str, Mesh]:
    """Ribs (`rib_L1` … `rib_R12`), sternum, shoulder girdle, neck, skull, pelvis, limbs."""
    parts: dict[str, Mesh] = {}
    cage = [outward(p) for p in _pieces("hat_ribs_scap")]
    for side, sign in (("L", 1), ("R", -1)):
        own = [p for p in cage if np.sign(p.vertices[:, 0].mean()) == sign]
        ribs = [p for p in own if 90 < len(p.faces) < 200]
        ribs.sort(key=lambda p: float(p.vertices[:, 2].min()))
        if len(ribs) != 12:
            raise RuntimeError(f"myo-sim holds {len(ribs)} ribs on one side, not 12")
        parts |= {f"rib_{side}{i + 1}": rib for i, rib in enumerate(ribs)}
        for name, count in (("clavicle", 524), ("scapula", 1592)):
            parts[f"{name}_{side}"] = next(p for p in own if len(p.faces) == count)
    parts["sternum"] = next(p for p in cage if len(p.faces) == 1450)
    neck = _downwards(outward(p) for p in _pieces("hat_cervical") if len(p.faces) > 200)
    parts |= {f"C{i + 1}": p for i, p in enumerate(neck)}
    parts["skull"], parts["jaw"] = _pieces("hat_skull")[0], _pieces("hat_jaw")[0]
    pelvis = -_TRUNK_IN_PELVIS
    parts["sacrum"] = outward(_pieces("sacrum", pelvis)[0])
    for side, flip in (("R", [1, 1, 1]), ("L", [1, 1, -1])):
        s = side.lower()
        parts[f"hip_{side}"] = outward(_pieces(f"{s}_pelvis", pelvis)[0])
        parts[f"femur_{side}"] = outward(_pieces(f"{s}_femur", pelvis + _HIP_IN_PELVIS * flip)[0])
    return parts
