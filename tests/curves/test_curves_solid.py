import numpy as np
import pytest
import trimesh

from spinelift.curves import Curve, SpineCurves, ellipses_mm, solid_iou, tube_mesh
from spinelift.geometry import Spacing, SpineFrame

FRAME = SpineFrame.from_ends(Spacing(2.4, 2.4), top_xz_mm=(300, 300), bottom_xz_mm=(300, 716))


def cylinder(a=20.0, b=14.0, x=310.0, y=0.0, n=209):
    ones = np.ones(n)
    return np.stack([x + a * ones, x * ones, x - a * ones, (y - b) * ones, y * ones, (y + b) * ones])


def bent(a=20.0, b=14.0):
    mm = cylinder(a, b)
    t = np.linspace(0, 1, 209)
    mm[:3] += 25 * np.sin(3 * t)
    mm[3:] += 30 * np.cos(5 * t)
    return mm


def test_ellipses_of_curves():
    centres, axes = ellipses_mm(cylinder(20, 14, 310, 3))
    np.testing.assert_allclose(centres, np.tile([310, 3], (209, 1)))
    np.testing.assert_allclose(axes, np.tile([20, 14], (209, 1)))
    crossed = cylinder(-1, 14)
    assert ellipses_mm(crossed)[1].min() == 0


@pytest.mark.parametrize("make", [cylinder, bent])
def test_tube_is_watertight_and_has_the_ellipses_volume(make):
    """V = π a b h, whatever the bend (Cavalieri); less the polygon's share of the circle."""
    segments = 48
    vertices, faces = tube_mesh(SpineCurves.from_mm(make(), FRAME), segments=segments)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    polygon = segments / 2 * np.sin(2 * np.pi / segments)
    assert mesh.volume == pytest.approx(polygon * 20 * 14 * 416, rel=1e-6)
    np.testing.assert_allclose(mesh.bounds[:, 2], [300, 716])


def test_degenerate_curves_still_give_a_closed_tube():
    vertices, faces = tube_mesh(SpineCurves.from_mm(cylinder(0, 0), FRAME))
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight
    assert mesh.volume > 0


def overlap(distance, radius):
    """Area that two equal circles share."""
    d = distance / radius
    return radius**2 * (2 * np.arccos(d / 2) - d / 2 * np.sqrt(4 - d**2))


@pytest.mark.parametrize("distance", [0.0, 5.0, 20.0])
def test_iou_of_shifted_cylinders(distance):
    z = np.linspace(0, 60, 31)
    one, other = cylinder(20, 20, 300, n=31), cylinder(20, 20, 300 + distance, n=31)
    shared = overlap(distance, 20.0)
    expected = shared / (2 * np.pi * 400 - shared)
    assert solid_iou(z, one, z, other, step_mm=0.5) == pytest.approx(expected, abs=0.01)


def test_iou_of_cylinders_shifted_in_height_and_depth():
    z = np.linspace(0, 100, 51)
    same = cylinder(20, 10, n=51)
    assert solid_iou(z, same, z + 50, same, step_mm=0.5) == pytest.approx(1 / 3, abs=0.01)
    deeper = cylinder(20, 10, y=20.5, n=51)
    assert solid_iou(z, same, z, deeper) == 0
    assert solid_iou(z, same, z, same) == 1


def test_iou_does_not_care_which_comes_first():
    z = np.linspace(0, 416, 209)
    one, other = cylinder(), bent(18, 15)
    other[: Curve.ANTERIOR] += 4
    assert solid_iou(z, one, z, other) == solid_iou(z, other, z, one)
    assert 0 < solid_iou(z, one, z, other) < 1
