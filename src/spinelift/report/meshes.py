"""The spine as STL and GLB.

STL is in mm and DICOM's patient axes LPS: x to the patient's left, y to posterior, z to the head. Its origin
is the scan's, the centre of the first pixel, so that z is negative. GLB is in metres, as glTF 2.0 demands
(section 3.4: y up, front of the model to +z): x to the patient's left, y to the head, z to anterior.
"""

import numpy as np
import trimesh

from spinelift.curves import SpineCurves, tube_mesh
from spinelift.geometry.arrays import Float
from spinelift.report.scene import SpineScene, patient_to_y_up


def patient_to_lps(xyz_mm: Float) -> Float:
    """(left, posterior, feet) → (left, posterior, head), mm [..., 3]: a mirror, so faces must be turned."""
    return xyz_mm * (1.0, 1.0, -1.0)


def stl_bytes(curves: SpineCurves) -> bytes:
    """Binary STL of the spine's solid, mm, LPS."""
    vertices, faces = tube_mesh(curves)
    mesh = trimesh.Trimesh(patient_to_lps(vertices), faces[:, ::-1], process=False)
    return _export(mesh, "stl")


def glb_bytes(scene: SpineScene) -> bytes:
    """GLB of the spine's solid, metres, y up, coloured by the interval of the depth."""
    vertices, faces = tube_mesh(scene.curves)
    rows = len(scene.curves.z_mm)
    colours = np.repeat(scene.colours, (len(vertices) - 2) // rows, axis=0)
    colours = np.concatenate([colours, scene.colours[[0, -1]]])
    rgba = np.concatenate([colours, np.full((len(colours), 1), 255.0)], 1).round().astype(np.uint8)
    metres = patient_to_y_up(vertices) / 1000.0
    mesh = trimesh.Trimesh(metres, faces[:, ::-1], vertex_colors=rgba, process=False)
    return _export(mesh, "glb")


def _export(mesh: trimesh.Trimesh, kind: str) -> bytes:
    data = mesh.export(file_type=kind)
    assert isinstance(data, bytes)
    return data
