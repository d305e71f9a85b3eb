import numpy as np
import pytest

from spinelift.evaluate.angles import (
    LEVEL_HEIGHTS,
    coronal_angles,
    kyphosis_deg,
    lordosis_deg,
    lower_endplate,
    upper_endplate,
)
from spinelift.geometry import Vertebra

Z = np.linspace(100.0, 540.0, 209)


def arc(angle_deg: float) -> np.ndarray:
    """Lateral position on a circle whose tangents turn by ``angle_deg`` from top to bottom of Z."""
    half = np.radians(angle_deg) / 2
    radius = (Z[-1] - Z[0]) / 2 / np.sin(half)
    return np.sqrt(radius**2 - (Z - Z.mean()) ** 2)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("angle", [6.0, 20.0, 40.0])
def test_an_arc_has_half_its_angle_by_ferguson_and_all_of_it_by_cobb(angle, side):
    got = coronal_angles(Z, 50 + side * arc(angle))
    assert got.ferguson == pytest.approx(angle / 2, rel=0.02)
    assert got.cobb_equivalent == pytest.approx(angle, rel=0.08)


def test_straight_and_tilted_lines_have_no_bend():
    assert coronal_angles(Z, np.full(209, 7.0)).ferguson == pytest.approx(0, abs=1e-6)
    assert coronal_angles(Z, 0.2 * Z).ferguson == pytest.approx(0, abs=1e-6)


def test_a_double_curve_counts_its_larger_bend():
    t = (Z - Z[0]) / (Z[-1] - Z[0])
    upper = 8 * np.sin(2 * np.pi * t) * (t < 0.5)
    lower = 16 * np.sin(2 * np.pi * t) * (t >= 0.5)
    both, alone = coronal_angles(Z, upper + lower), coronal_angles(Z, lower)
    assert both.ferguson == pytest.approx(alone.ferguson, rel=0.05)
    height = (Z[-1] - Z[0]) / 4
    assert both.ferguson == pytest.approx(2 * np.degrees(np.arctan(16 / height)), rel=0.05)


def test_kyphosis_and_lordosis_of_a_circle_are_its_turn_between_the_levels():
    """dy/dz of y = -sqrt(r² - z²) rises to the feet: a lordosis; its negative is a kyphosis."""
    y = -arc(60.0)
    t = (Z - Z.mean()) / ((Z[-1] - Z[0]) / 2) * np.sin(np.radians(30))
    slope = np.degrees(np.arcsin(t))
    heights = np.linspace(0, 1, 209)

    def at(height: float) -> float:
        return float(np.interp(height, heights, slope))

    lordosis = at(lower_endplate(Vertebra.L5)) - at(upper_endplate(Vertebra.L1))
    kyphosis = at(lower_endplate(Vertebra.T12)) - at(upper_endplate(Vertebra.T4))
    assert lordosis_deg(Z, y) == pytest.approx(lordosis, rel=0.06)
    assert kyphosis_deg(Z, y) == pytest.approx(-kyphosis, rel=0.03)
    assert kyphosis_deg(Z, -y) == pytest.approx(kyphosis, rel=0.03)


def test_levels_are_in_order_and_share_their_endplates():
    assert (np.diff(LEVEL_HEIGHTS) > 0).all()
    assert upper_endplate(Vertebra.T1) == 0
    assert lower_endplate(Vertebra.L5) == 1
    assert lower_endplate(Vertebra.T12) == upper_endplate(Vertebra.L1)
