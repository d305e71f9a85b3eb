"""Angles of centre lines: closed forms, invariances, stability under noise, no cliffs, refused input."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from spinelift.errors import InvalidCurveError, SpineliftError
from spinelift.geometry import Vertebra
from spinelift.measures import (
    LEVEL_HEIGHTS,
    Convexity,
    coronal_angles,
    kyphosis_deg,
    lordosis_deg,
    lower_endplate,
    upper_endplate,
)
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.spine import sample_spine

TOP, HEIGHT = 100.0, 440.0
Z = np.linspace(TOP, TOP + HEIGHT, 209)
T = (Z - TOP) / HEIGHT
BODIES = TOP + HEIGHT * LEVEL_HEIGHTS


def arc(angle_deg, z=Z):
    """Lateral position on a circle, convex to the left, whose tangents turn by ``angle_deg`` over z."""
    radius = (z[-1] - z[0]) / 2 / np.sin(np.radians(angle_deg) / 2)
    return np.sqrt(radius**2 - (z - (z[0] + z[-1]) / 2) ** 2)


def bump(centre, width, z=Z):
    """1 at a relative height, falling to both sides as a Gaussian of relative ``width``."""
    return np.exp(-0.5 * (((z - TOP) / HEIGHT - centre) / width) ** 2)


def angle_of_lines(rise, run):
    """Angle between two lines that both rise by ``rise`` over ``run``, from opposite sides."""
    return 2 * np.degrees(np.arctan(rise / run))


@pytest.fixture(scope="module")
def spines(prior):
    """Twenty coronal centre lines of the simulator, and two with a Ferguson angle of 2.0°."""
    lines = []
    for n in range(20):
        rng = np.random.default_rng([31, n])
        physique = sample_physique(rng)
        z, mm = sample_spine(prior, physique, rng).curves_mm()
        lines.append((z, mm[1]))
    one_degree = np.tan(np.radians(1.0))
    lines.append((Z, HEIGHT / 2 * one_degree * (1 - (2 * T - 1) ** 2)))
    lines.append((Z, HEIGHT / 4 * one_degree * np.sin(2 * np.pi * T)))
    return lines


@pytest.mark.parametrize("side", [Convexity.LEFT, Convexity.RIGHT])
@pytest.mark.parametrize("angle", [2.0, 6.0, 20.0, 40.0])
@pytest.mark.parametrize("z", [Z, BODIES, Z[::3]], ids=["209 points", "17 centres", "70 points"])
def test_an_arc_has_half_its_angle_by_ferguson_and_all_of_it_by_cobb(z, angle, side):
    got = coronal_angles(z, 50 + (1 if side is Convexity.LEFT else -1) * arc(angle, z))
    assert got.ferguson_deg == pytest.approx(angle / 2, abs=0.1)
    assert got.cobb_equivalent_deg == pytest.approx(angle, rel=0.02)
    (curve,) = got.curves
    assert curve.direction is side
    assert curve.ends == (Vertebra.T1, Vertebra.L5)
    assert (curve.upper_end_mm, curve.lower_end_mm) == pytest.approx((z[0], z[-1]))
    assert curve.apex_mm == pytest.approx((z[0] + z[-1]) / 2, abs=1.0)


@pytest.mark.parametrize("amplitude", [2.0, 10.0, 20.0])
def test_an_s_curve_has_the_angles_of_its_quarter_waves(amplitude):
    got = coronal_angles(Z, amplitude * np.sin(2 * np.pi * T))
    assert got.ferguson_deg == pytest.approx(angle_of_lines(amplitude, HEIGHT / 4), abs=0.1)
    assert got.cobb_equivalent_deg == pytest.approx(angle_of_lines(2 * np.pi * amplitude, HEIGHT), rel=0.03)
    upper, lower = got.curves
    assert (upper.direction, lower.direction) == (Convexity.LEFT, Convexity.RIGHT)
    assert (upper.apex, lower.apex) == (Vertebra.T6, Vertebra.L2)
    assert upper.lower_end is lower.upper_end is Vertebra.T11


def test_three_equal_bends_are_three_curves():
    got = coronal_angles(Z, 12 * np.sin(3 * np.pi * T))
    assert [c.direction for c in got.curves] == [Convexity.LEFT, Convexity.RIGHT, Convexity.LEFT]
    assert got.ferguson_deg == pytest.approx(angle_of_lines(12, HEIGHT / 6), rel=0.04)


def test_the_larger_of_two_curves_is_the_main_one():
    upper = bump(LEVEL_HEIGHTS[Vertebra.T7], 0.12)
    lower = bump(LEVEL_HEIGHTS[Vertebra.L2], 0.1)
    got = coronal_angles(Z, -18 * upper + 7 * lower)
    assert got.main is not None
    assert got.main.direction is Convexity.RIGHT
    assert abs(got.main.apex - Vertebra.T7) <= 1
    assert got.main.ferguson_deg == got.ferguson_deg
    assert [c.direction for c in got.curves].count(Convexity.LEFT) >= 1
    swapped = coronal_angles(Z, -7 * upper + 18 * lower)
    assert swapped.main is not None
    assert swapped.main.direction is Convexity.LEFT
    assert abs(swapped.main.apex - Vertebra.L2) <= 1


@pytest.mark.parametrize("z", [Z, BODIES])
@pytest.mark.parametrize("lean", [0.0, 0.2, -1.0])
def test_a_straight_line_has_no_curve(z, lean):
    got = coronal_angles(z, 7.0 + lean * z)
    assert (got.curves, got.main) == ((), None)
    assert got.ferguson_deg == got.cobb_equivalent_deg == 0


def test_the_bend_of_a_tilted_endplate_is_no_curve():
    half = LEVEL_HEIGHTS[0], LEVEL_HEIGHTS[-1]
    bent = 0.5 * HEIGHT * (np.maximum(half[0] - T, 0) + np.maximum(T - half[1], 0))
    assert bent.max() > 5
    assert coronal_angles(Z, bent).ferguson_deg < 0.3
    with_curve = coronal_angles(Z, arc(20.0) + bent)
    assert with_curve.ferguson_deg == pytest.approx(10, abs=0.3)


def test_curves_reach_from_end_to_end_and_alternate(spines):
    for z, x in spines:
        curves = coronal_angles(z, x).curves
        assert (curves[0].upper_end_mm, curves[-1].lower_end_mm) == pytest.approx((z[0], z[-1]), abs=1)
        for above, below in pairwise(curves):
            assert above.lower_end_mm == below.upper_end_mm
            assert above.direction is not below.direction
        for curve in curves:
            assert curve.upper_end_mm <= curve.apex_mm <= curve.lower_end_mm
            assert curve.upper_end <= curve.apex <= curve.lower_end


def test_noise_moves_an_angle_by_less_than_two_degrees_and_never_to_zero(spines):
    for k, (z, x) in enumerate(spines):
        rng = np.random.default_rng(k)
        sigma = (5.0, 10.0, 20.0, 30.0)[k % 4] / (z[1] - z[0])
        noise = gaussian_filter1d(rng.normal(size=(30, len(z) + 400)), sigma, axis=1)
        noise *= 0.8 / noise.std()
        got = [coronal_angles(z, x + e).ferguson_deg for e in noise[:, 200:-200]]
        assert np.std(got, ddof=1) <= 2
        assert min(got) > 0.3
        assert np.mean(got) == pytest.approx(coronal_angles(z, x).ferguson_deg, abs=1.1)


@pytest.mark.parametrize("width", [0.03, 0.06, 0.1])
def test_no_cliff_as_a_bend_grows(width):
    """From one curve to several, by 0.05 mm a step: Ferguson jumps, a little, only where two apexes tie."""
    base = 12 * bump(0.4, 0.18)
    grown = [coronal_angles(Z, base + a * bump(0.75, width)) for a in np.arange(-12, 12, 0.05)]
    for name, limit in (("ferguson_deg", 0.6), ("cobb_equivalent_deg", 0.2)):
        assert np.abs(np.diff([getattr(g, name) for g in grown])).max() < limit, name


@st.composite
def lines(draw):
    knots = draw(st.lists(st.floats(-30, 30), min_size=6, max_size=6))
    return np.asarray(CubicSpline(np.linspace(0, 1, 6), knots)(T))


@settings(deadline=None, max_examples=25)
@given(x=lines(), shift=st.floats(-400, 400), scale=st.floats(0.5, 3), offset=st.floats(-1000, 1000))
def test_place_and_size_do_not_matter_and_a_mirror_swaps_the_sides(x, shift, scale, offset):
    one = coronal_angles(Z, x)
    moved = coronal_angles(scale * Z + offset, scale * x + shift)
    assert moved.ferguson_deg == pytest.approx(one.ferguson_deg, abs=1e-4)
    assert moved.cobb_equivalent_deg == pytest.approx(one.cobb_equivalent_deg, abs=1e-4)
    mirrored = coronal_angles(Z, -x)
    assert mirrored.ferguson_deg == pytest.approx(one.ferguson_deg, abs=1e-6)
    if one.ferguson_deg > 0.01:
        for a, b in zip(one.curves, mirrored.curves, strict=True):
            assert (a.apex, a.ends) == (b.apex, b.ends)
            assert {a.direction, b.direction} == set(Convexity)


@pytest.mark.parametrize("lean", [0.05, -0.1])
def test_a_leaning_spine_has_nearly_the_same_angles(spines, lean):
    for z, x in spines:
        upright, leaning = coronal_angles(z, x), coronal_angles(z, x + lean * z)
        assert leaning.ferguson_deg == pytest.approx(upright.ferguson_deg, rel=0.05, abs=0.05)


def test_the_centres_and_the_line_through_them_have_one_angle(spines):
    """They differ where the main curve reaches an end of the spine: a line goes on to the endplate."""
    for z, x in spines:
        height = z[-1] - z[0]
        bodies = z[0] + height * LEVEL_HEIGHTS
        centres = coronal_angles(bodies, np.interp(bodies, z, x))
        assert centres.ferguson_deg == pytest.approx(coronal_angles(z, x).ferguson_deg, rel=0.15, abs=0.1)


def test_levels_are_those_of_the_heights():
    narrow = [coronal_angles(Z, 8 * bump(LEVEL_HEIGHTS[k], 0.12)).main for k in range(4, 14)]
    off = [abs(curve.apex - k) for k, curve in enumerate(narrow, 4)]
    assert max(off) <= 1
    uneven = TOP + np.cumsum([0, *[10.0] * 8, *[40.0] * 8])
    got = coronal_angles(uneven, arc(20.0, uneven)).main
    assert got is not None
    assert got.apex is Vertebra.T12  # half way down a column whose lower levels are four times as high


@pytest.mark.parametrize(
    ("z", "x", "found"),
    [
        (Z, Z[:-1], "shape"),
        (Z.reshape(11, 19), Z.reshape(11, 19), "shape"),
        (Z[:16], Z[:16], "16 points"),
        (Z[::-1], Z, "do not increase"),
        (np.repeat(Z, 2), np.repeat(Z, 2), "do not increase"),
        (Z, np.where(T > 0.5, np.nan, 0), "not finite"),
        (np.where(T < 1, Z, np.inf), Z, "not finite"),
        (["a"] * 17, [0.0] * 17, "not numbers"),
    ],
)
@pytest.mark.parametrize("measure", [coronal_angles, kyphosis_deg, lordosis_deg])
def test_a_line_that_cannot_be_measured_is_refused(measure, z, x, found):
    with pytest.raises(InvalidCurveError, match=found) as error:
        measure(z, x)
    assert isinstance(error.value, SpineliftError)
    assert error.value.expected
    assert error.value.do


@pytest.mark.parametrize("z", [Z, BODIES], ids=["209 points", "17 centres"])
def test_kyphosis_and_lordosis_of_a_circle_are_its_turn_between_the_levels(z):
    """dy/dz of y = -sqrt(r² - z²) rises to the feet: a lordosis; its negative is a kyphosis."""
    y = -arc(60.0, z)
    radius = (z[-1] - z[0]) / 2 / np.sin(np.radians(30))

    def at(height):
        inside = np.clip(TOP + height * HEIGHT, z[0], z[-1])
        return np.degrees(np.arcsin((inside - (z[0] + z[-1]) / 2) / radius))

    lordosis = at(lower_endplate(Vertebra.L5)) - at(upper_endplate(Vertebra.L1))
    kyphosis = at(lower_endplate(Vertebra.T12)) - at(upper_endplate(Vertebra.T4))
    assert lordosis_deg(z, y) == pytest.approx(lordosis, rel=0.03)
    assert kyphosis_deg(z, y) == pytest.approx(-kyphosis, rel=0.005)
    assert kyphosis_deg(z, -y) == pytest.approx(kyphosis, rel=0.005)


def test_levels_are_in_order_and_share_their_endplates():
    assert (np.diff(LEVEL_HEIGHTS) > 0).all()
    assert upper_endplate(Vertebra.T1) == 0
    assert lower_endplate(Vertebra.L5) == 1
    for level in list(Vertebra)[:-1]:
        assert upper_endplate(level) < LEVEL_HEIGHTS[level] < lower_endplate(level)
        assert lower_endplate(level) == upper_endplate(Vertebra(level + 1))
