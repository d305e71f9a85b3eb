"""The spine as STL and GLB.

STL is in mm and DICOM's patient axes LPS: x to the patient's left, y to posterior, z to the head. Its origin
is the scan's, the centre of the first pixel, so that z is negative. GLB is in metres, as glTF 2.0 demands
(section 3.4: y up, front of the model to +z): x to the patient's left, y to the head, z to anterior.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import trimesh
from trimesh.exchange import gltf
from trimesh.visual import material, texture

from spinelift.curves import tube_mesh
from spinelift.geometry.arrays import Float
from spinelift.report import RESEARCH_USE
from spinelift.report.scene import SpineScene, matrix_y_up, patient_to_lps, patient_to_y_up
from spinelift.report.shapes import LUMBAR, THORACIC, Mesh, level_ring, shape_of, vertebra
from spinelift.report.vertebrae import place_vertebrae

COLUMN_OPACITY = 0.45
"""Of the column in GLB, so that the schematic vertebrae show."""
BONE, RING = (226, 214, 190), (64, 110, 150)
"""Colours of schematic vertebrae and levels, RGB."""
PARTS_SEGMENTS, PARTS_STEP = 24, 4
"""Of the column in ``spine_parts.stl``: points around it, and rows from one ring to the next."""


def stl_bytes(scene: SpineScene) -> bytes:
    """Binary STL of the spine's solid, mm, LPS. The header names part, unit, axes, bundle and use."""
    vertices, faces = tube_mesh(scene.curves)
    mesh = trimesh.Trimesh(patient_to_lps(vertices), faces[:, ::-1], process=False)
    data = mesh.export(file_type="stl")
    assert isinstance(data, bytes)
    header = f"column; unit mm; axes LPS; {_plain(scene.made_by) or 'spinelift'}; research use only"
    return header.encode()[:80].ljust(80) + data[80:]


def parts_stl_bytes(scene: SpineScene) -> bytes:
    """Text STL with a named solid for the column, each level and each schematic vertebra; mm, LPS."""
    about = f"unit=mm axes=LPS bundle={_plain(scene.made_by)} research_use_only"
    return "".join(_solid(name, mesh, about) for name, mesh in _parts(scene)).encode()


def glb_bytes(scene: SpineScene) -> bytes:
    """GLB of named parts, metres, y up; the column is coloured by the interval of the depth."""
    parts: Any = trimesh.Scene(base_frame="spine")  # not typed
    vertices, faces = tube_mesh(scene.curves)
    column = trimesh.Trimesh(patient_to_y_up(vertices) / 1000.0, faces[:, ::-1], process=False)
    look = _look((255, 255, 255), "column", COLUMN_OPACITY)
    look.vertex_attributes["color"] = _vertex_colours(scene, len(vertices))
    column.visual = look
    parts.add_geometry(column, node_name="column", geom_name="column")
    for group in ("levels", "schematic vertebrae"):
        parts.graph.update(frame_from="spine", frame_to=group)
    parts.geometry["level ring"] = _y_up(level_ring(), "level", RING)
    for kind in (THORACIC, LUMBAR):
        parts.geometry[kind] = _y_up(vertebra(kind), f"schematic {kind} vertebra", BONE)
    for one in place_vertebrae(scene):
        name, matrix = one.level.name, np.diag([0.001, 0.001, 0.001, 1.0]) @ matrix_y_up(one.matrix)
        for node, group, shape in (
            (f"level {name}", "levels", "level ring"),
            (f"{name} (schematic)", "schematic vertebrae", shape_of(one.level)),
        ):
            parts.graph.update(frame_from=group, frame_to=node, matrix=matrix, geometry=shape)

    def describe(tree: dict[str, object]) -> None:
        tree["asset"] = {
            "version": "2.0",
            "generator": "spinelift",
            "copyright": RESEARCH_USE,
            "extras": metadata(scene),
        }

    library: Any = gltf
    return bytes(library.export_glb(parts, include_normals=False, tree_postprocessor=describe))


def metadata(scene: SpineScene) -> dict[str, object]:
    """What the GLB says of itself."""
    return {
        "scan_id": scene.scan_id,
        "bundle": scene.made_by,
        "unit": "m (1 unit = 1000 mm)",
        "axes": "x to the patient's left, y to the head, z to anterior",
        "origin": "centre of the scan's first pixel; mean depth of the centre line",
        "parts": "column: predicted; levels: estimated; vertebrae: schematic, no one's anatomy",
        "use": RESEARCH_USE,
    }


def _parts(scene: SpineScene) -> Iterator[tuple[str, Mesh]]:
    rows = np.r_[0 : len(scene.curves.z_mm) - 1 : PARTS_STEP, len(scene.curves.z_mm) - 1]
    yield "column", Mesh(*tube_mesh(scene.curves, segments=PARTS_SEGMENTS, rows=rows))
    placed = place_vertebrae(scene)
    for one in placed:
        yield f"level_{one.level.name}", level_ring(20).moved(one.matrix)
    for one in placed:
        yield f"schematic_{one.level.name}", vertebra(shape_of(one.level)).moved(one.matrix)


def _solid(name: str, mesh: Mesh, about: str) -> str:
    """One solid of a text STL, of a mesh in patient axes."""
    corners = patient_to_lps(mesh.vertices)[mesh.faces[:, ::-1]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    facet = (
        "facet normal %.3f %.3f %.3f\nouter loop\n" + "vertex %.2f %.2f %.2f\n" * 3 + "endloop\nendfacet\n"
    )
    numbers = np.concatenate([normals, corners.reshape(-1, 9)], 1)
    body = (facet * len(numbers)) % tuple(numbers.ravel().tolist())
    return f"solid {name} {about}\n{body}endsolid {name}\n"


def _y_up(mesh: Mesh, name: str, colour: tuple[int, int, int]) -> trimesh.Trimesh:
    out = trimesh.Trimesh(patient_to_y_up(mesh.vertices), mesh.faces[:, ::-1], process=False)
    out.visual = _look(colour, name)
    return out


def _look(colour: tuple[int, int, int], name: str, opacity: float = 1.0) -> Any:
    """Material of a mesh."""
    materials: Any = material  # not typed
    visuals: Any = texture
    blend = {"alphaMode": "BLEND"} if opacity < 1 else {}
    rgba = [*colour, round(255 * opacity)]
    look = materials.PBRMaterial(
        name=name, baseColorFactor=rgba, metallicFactor=0.0, roughnessFactor=0.6, **blend
    )
    return visuals.TextureVisuals(material=look)


def _vertex_colours(scene: SpineScene, count: int) -> Float:
    """Colour of each vertex of the tube, RGBA 0–255 [count, 4]."""
    rows = len(scene.curves.z_mm)
    rgb = np.concatenate([np.repeat(scene.colours, (count - 2) // rows, 0), scene.colours[[0, -1]]])
    return np.concatenate([rgb, np.full((count, 1), 255.0)], 1).round().astype(np.uint8)


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
