"""Rigid alignment of two sagittal lines: known movements are found again, and shape is what remains."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinelift.evaluate.sagittal import SLACK_MM, align, arc_at_height, arc_mm, at_arc
from spinelift.geometry import RigidTransform2D


def spine(*, kyphosis: float = 25.0) -> np.ndarray:
    """Points (y, z) of a curve with a kyphosis and a lordosis, head to feet."""
    z = np.linspace(0, 450, 209)
    return np.stack([kyphosis * np.sin(z / 450 * 2 * np.pi) + 8 * np.cos(z / 70), z], 1)


ARC = (80.0, 440.0)


@given(
    st.floats(-15, 15), st.floats(-80, 80), st.floats(-300, 300), st.floats(-5, 5),
    st.floats(60, 140), st.floats(380, 440),
)  # fmt: skip
def test_a_rigid_movement_is_found_again(turn, dy, dz, slide, first, last):
    moved = RigidTransform2D(turn, (dy, dz), "dxa", "lva")
    line = moved.apply(at_arc(spine(), np.arange(first, last, 1.3)))
    aligned = align(spine(), line, ARC, first - slide)
    assert aligned.slide_mm == pytest.approx(slide, abs=0.2)
    assert aligned.rigid_mae_mm < 0.05
    back = aligned.rigid.then(RigidTransform2D(turn, (dy, dz), "dxa", "lva"))
    np.testing.assert_allclose(back.apply(line), line, atol=0.5)


@pytest.mark.parametrize("turn", [0.0, 1e-9, -1e-9])
def test_without_movement_nothing_remains(turn):
    line = RigidTransform2D(turn, (0.0, 0.0), "dxa", "lva").apply(spine())
    aligned = align(spine(), line, ARC, 0.0)
    assert aligned.shift_mae_mm < 1e-6
    assert aligned.rigid_mae_mm < 1e-3
    assert abs(aligned.rigid.rotation_deg) < 1e-2


def test_inclination_is_removed_and_shape_is_not():
    inclined = RigidTransform2D(6.0, (0.0, 0.0), "dxa", "lva").apply(spine())
    flat = np.stack([0 * spine()[:, 0], spine()[:, 1]], 1)
    same, other = align(spine(), inclined, ARC, 0.0), align(spine(), flat, ARC, 0.0)
    assert same.shift_mae_mm > 5 > 0.05 > same.rigid_mae_mm
    assert other.rigid_mae_mm > 4
    first, second = same.shapes_mm
    np.testing.assert_allclose(first, second, atol=0.1)
    assert np.abs(other.shapes_mm[1]).max() < 1e-6


def test_front_and_back_are_not_confused():
    mirrored = spine() * [-1, 1]
    assert align(spine(), mirrored, ARC, 0.0).rigid_mae_mm > 5


def test_lines_with_too_little_in_common_are_not_compared():
    short = at_arc(spine(), np.arange(0.0, 160.0))
    assert align(spine(), short, ARC, 0.0) is None
    assert align(spine(), spine(), ARC, 380.0) is None


def test_the_slide_is_bounded():
    line = at_arc(spine(), np.arange(100.0, 420.0))
    assert abs(align(spine(), line, ARC, 100.0 + 60.0).slide_mm) <= SLACK_MM


@given(st.floats(-60, 500))
def test_arc_and_height_are_inverse(height):
    line = spine()
    arc = arc_at_height(line, height)
    if 0 <= height <= 450:
        assert at_arc(line, np.array([arc]))[0, 1] == pytest.approx(height, abs=1e-6)
    else:
        assert arc == pytest.approx(height if height < 0 else arc_mm(line)[-1] + height - 450)
