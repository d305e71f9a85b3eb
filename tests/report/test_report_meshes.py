import io

import numpy as np
import pytest
import trimesh
from report_cases import scene

from spinelift.report.meshes import glb_bytes, patient_to_lps, stl_bytes
from spinelift.report.scene import patient_to_y_up


def test_axes_of_one_point():
    left, posterior, feet = np.eye(3) * 1000
    np.testing.assert_allclose(patient_to_lps(np.stack([left, posterior, feet])), 1000 * np.diag([1, 1, -1]))
    np.testing.assert_allclose(patient_to_y_up(left), [1000, 0, 0])
    np.testing.assert_allclose(patient_to_y_up(posterior), [0, 0, -1000])
    np.testing.assert_allclose(patient_to_y_up(feet), [0, -1000, 0])
    for convert in (patient_to_lps, patient_to_y_up):
        # Patient axes to the feet are left-handed; both results are right-handed.
        assert np.linalg.det(convert(np.eye(3))) < 0


def end_centre(vertices, axis, low):
    values = vertices[:, axis]
    at = values.min() if low else values.max()
    return vertices[np.abs(values - at) < 1e-4].mean(0)


def test_stl_is_millimetres_in_lps_and_outward():
    curves = scene().curves
    mesh = trimesh.load(io.BytesIO(stl_bytes(curves)), file_type="stl")
    assert mesh.is_watertight
    area = np.pi / 4 * (curves.mm[0] - curves.mm[2]) * (curves.mm[5] - curves.mm[3])
    volume = np.trapezoid(area, curves.z_mm)
    assert mesh.volume == pytest.approx(volume, rel=0.01)
    np.testing.assert_allclose(end_centre(mesh.vertices, 2, low=False), [360, -40, -330], atol=0.5)
    np.testing.assert_allclose(end_centre(mesh.vertices, 2, low=True), [300, 40, -830], atol=0.5)


def test_glb_is_metres_y_up_front_to_z_and_outward():
    picture = scene()
    mesh = trimesh.load(io.BytesIO(glb_bytes(picture)), file_type="glb").to_geometry()
    assert mesh.volume > 0
    np.testing.assert_allclose(end_centre(mesh.vertices, 1, low=False), [0.36, -0.33, 0.04], atol=1e-3)
    np.testing.assert_allclose(end_centre(mesh.vertices, 1, low=True), [0.30, -0.83, -0.04], atol=1e-3)
    top = mesh.vertices[:, 1].argmax()
    np.testing.assert_allclose(mesh.visual.vertex_colors[top, :3], picture.colours[0], atol=1)


def test_the_same_scene_gives_the_same_bytes():
    assert stl_bytes(scene().curves) == stl_bytes(scene().curves)
    assert glb_bytes(scene()) == glb_bytes(scene())
