import io
import json
import struct

import numpy as np
import pytest
import trimesh
from report_cases import scene

from spinelift.geometry import Vertebra
from spinelift.report.markups import markups_json
from spinelift.report.meshes import glb_bytes, parts_stl_bytes, stl_bytes
from spinelift.report.scene import patient_to_lps, patient_to_y_up


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


def level_points():
    """Centre of each level of the asymmetric scene, by interpolation: patient axes, mm."""
    picture = scene()
    line = picture.curves.centreline_mm
    z = np.array(list(picture.levels_mm.values()))
    return np.stack([np.interp(z, line[:, 2], line[:, k]) for k in range(3)], 1)


def test_stl_is_millimetres_in_lps_and_outward():
    curves = scene().curves
    data = stl_bytes(scene())
    mesh = trimesh.load(io.BytesIO(data), file_type="stl")
    assert mesh.is_watertight
    area = np.pi / 4 * (curves.mm[0] - curves.mm[2]) * (curves.mm[5] - curves.mm[3])
    volume = np.trapezoid(area, curves.z_mm)
    assert mesh.volume == pytest.approx(volume, rel=0.01)
    np.testing.assert_allclose(end_centre(mesh.vertices, 2, low=False), [360, -40, -330], atol=0.5)
    np.testing.assert_allclose(end_centre(mesh.vertices, 2, low=True), [300, 40, -830], atol=0.5)
    assert data[:80].rstrip() == b"column; unit mm; axes LPS; fake-1; research use only"


def test_parts_of_the_text_stl_are_named_and_in_their_place():
    data = parts_stl_bytes(scene())
    parts = trimesh.load(io.BytesIO(data), file_type="stl_ascii").geometry
    names = [name.split()[0] for name in parts]
    levels = [level.name for level in Vertebra]
    assert names == ["column", *(f"level_{n}" for n in levels), *(f"schematic_{n}" for n in levels)]
    assert all("unit=mm axes=LPS bundle=fake-1 research_use_only" in name for name in parts)
    by_name = {name.split()[0]: mesh for name, mesh in parts.items()}
    assert by_name["column"].volume == pytest.approx(
        trimesh.load(io.BytesIO(stl_bytes(scene())), file_type="stl").volume, rel=0.02
    )
    for name, point in zip(levels, patient_to_lps(level_points()), strict=True):
        np.testing.assert_allclose(by_name[f"level_{name}"].bounds.mean(0), point, atol=0.6)
        vertebra = by_name[f"schematic_{name}"]
        assert vertebra.volume > 0
        assert vertebra.bounds[:, 0].mean() == pytest.approx(point[0], abs=8)
        assert vertebra.bounds[1, 1] - point[1] > 2 * (point[1] - vertebra.bounds[0, 1]), (
            "the arch is posterior"
        )


def glb(picture):
    return trimesh.load(io.BytesIO(glb_bytes(picture)), file_type="glb")


def test_glb_is_metres_y_up_front_to_z_and_outward():
    picture = scene()
    mesh = glb(picture).geometry["column"]
    assert mesh.volume > 0
    np.testing.assert_allclose(end_centre(mesh.vertices, 1, low=False), [0.36, -0.33, 0.04], atol=1e-3)
    np.testing.assert_allclose(end_centre(mesh.vertices, 1, low=True), [0.30, -0.83, -0.04], atol=1e-3)


def test_parts_of_the_glb_are_named_and_in_their_place():
    graph, shapes = glb(scene()).graph, glb(scene()).geometry
    assert {"column", "levels", "schematic vertebrae"} <= set(graph.nodes)
    for level, point in zip(Vertebra, patient_to_y_up(level_points()) / 1000, strict=True):
        for node in (f"level {level.name}", f"{level.name} (schematic)"):
            matrix, shape = graph[node]
            np.testing.assert_allclose(matrix[:3, 3], point, atol=1e-4)
            assert np.linalg.det(matrix[:3, :3]) > 0, "a reflection would show the faces from inside"
            assert matrix[0, 0] > 0.01, "the shape's left is the patient's left"
            assert shapes[shape].volume > 0
        vertebra = shapes[graph[f"{level.name} (schematic)"][1]]
        assert vertebra.bounds[0, 2] < -3, "the arch is posterior, away from +z"


def test_glb_says_what_it_is_and_keeps_the_colours():
    data = glb_bytes(scene())
    length = struct.unpack("<I", data[12:16])[0]
    tree = json.loads(data[20 : 20 + length])
    about = tree["asset"]["extras"]
    assert about["bundle"] == "fake 1"
    assert "patient's left" in about["axes"]
    assert "1000 mm" in about["unit"]
    assert "Research use only" in tree["asset"]["copyright"]
    assert "COLOR_0" in tree["meshes"][0]["primitives"][0]["attributes"]
    assert tree["materials"][0]["alphaMode"] == "BLEND"
    assert len(tree["meshes"]) == 4, "shapes are shared by their nodes"


def test_markups_are_lps_millimetres():
    document = json.loads(markups_json(scene()))
    assert "markups-schema-v1." in document["@schema"]
    curve, levels = document["markups"]
    for markup in (curve, levels):
        assert (markup["coordinateSystem"], markup["coordinateUnits"]) == ("LPS", "mm")
    line = np.array([point["position"] for point in curve["controlPoints"]])
    np.testing.assert_allclose(line[[0, -1]], [[360, -40, -330], [300, 40, -830]], atol=0.6)
    assert curve["type"] == "Curve"
    assert levels["type"] == "Fiducial"
    assert [point["label"] for point in levels["controlPoints"]] == [level.name for level in Vertebra]
    points = np.array([point["position"] for point in levels["controlPoints"]])
    np.testing.assert_allclose(points, patient_to_lps(level_points()), atol=0.06)


@pytest.mark.parametrize("made", [stl_bytes, parts_stl_bytes, glb_bytes, markups_json])
def test_the_same_scene_gives_the_same_bytes(made):
    assert made(scene()) == made(scene())
