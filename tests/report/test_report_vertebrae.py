import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from report_cases import scene

from spinelift.curves import SpineCurves
from spinelift.geometry import Vertebra
from spinelift.report.shapes import LUMBAR, THORACIC, level_ring, shape_of, vertebra
from spinelift.report.vertebrae import place_vertebrae


def tilted(right_to_left, back_to_front):
    """A straight spine whose centre moves by these slopes on its way to the feet, widths 40 and 30 mm."""
    z = scene().curves.z_mm
    x, y = 330 + right_to_left * (z - z.mean()), -back_to_front * (z - z.mean())
    mm = np.stack([x + 20, x, x - 20, y - 15, y, y + 15])
    return scene(curves=SpineCurves.from_mm(mm, scene().curves.frame))


def test_vertebrae_stand_on_the_centre_line_at_the_levels():
    picture = scene()
    placed = place_vertebrae(picture)
    assert [one.level for one in placed] == list(Vertebra)
    line = picture.curves.centreline_mm
    for one in placed:
        assert one.centre_mm[2] == pytest.approx(picture.levels_mm[one.level])
        want = [np.interp(one.centre_mm[2], line[:, 2], line[:, k]) for k in (0, 1)]
        np.testing.assert_allclose(one.centre_mm[:2], want, atol=0.05)


@given(st.floats(-0.8, 0.8), st.floats(-0.8, 0.8))
def test_their_axes_follow_the_line_without_rotation_about_it(across, forward):
    for one in place_vertebrae(tilted(across, forward)):
        left, posterior, feet = one.axes
        np.testing.assert_allclose(one.axes @ one.axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(one.axes) == pytest.approx(1)
        np.testing.assert_allclose(feet / feet[2], [across, -forward, 1], atol=1e-6)
        assert left[0] > 0
        assert posterior[1] > 0
        assert posterior[0] == pytest.approx(0, abs=1e-12), "no axial rotation"


def test_an_upright_vertebra_is_as_wide_and_deep_as_the_curves():
    one = place_vertebrae(tilted(0.0, 0.0))[8]
    np.testing.assert_allclose(one.axes, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(one.half_mm[:2], [20, 15], atol=1e-6)
    body = one.matrix @ np.array([1, 0, 0, 1.0])
    assert body[0] == pytest.approx(one.centre_mm[0] + 20), "+1 of the first unit axis is the patient's left"


@pytest.mark.parametrize("shape", [THORACIC, LUMBAR])
def test_shapes_are_closed_outward_and_alike_on_both_sides(shape):
    mesh = vertebra(shape)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    parts = solid.split(only_watertight=False)
    assert len(parts) == 10
    assert all(part.is_watertight and part.volume > 0 for part in parts)
    low, high = solid.bounds
    np.testing.assert_allclose(low[0], -high[0])
    assert low[1] == pytest.approx(-1), "nothing stands in front of the body"
    assert high[1] > 3, "the spinous process is behind"


def test_shapes_by_region():
    assert [shape_of(level) for level in Vertebra] == [THORACIC] * 12 + [LUMBAR] * 5
    ring = level_ring()
    assert trimesh.Trimesh(ring.vertices, ring.faces).is_watertight
