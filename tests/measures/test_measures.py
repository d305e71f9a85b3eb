"""All measures of a spine: closed forms, mirrors and turns, intervals, levels, screening, two visits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spinelift
from spinelift.errors import InvalidCurveError, SpineliftError
from spinelift.geometry import Vertebra
from spinelift.measures import (
    LEVEL_HEIGHTS,
    CurveType,
    Measured,
    Plausible,
    SpineMeasures,
    compare_spines,
    coronal_angles,
    kyphosis_deg,
    measure_spine,
)
from spinelift.measures.levels import levels_mm, numbering_warning
from spinelift.measures.spine import _Spines

HEIGHT = 440.0
Z = 100 + np.linspace(0, HEIGHT, 209)
T = (Z - 100) / HEIGHT
S = 10 * np.sin(2 * np.pi * T)


def arc(angle_deg):
    """Depth of a circular arc that turns by ``angle_deg`` over the spine; zero at its ends."""
    radius = HEIGHT / 2 / np.sin(np.radians(angle_deg) / 2)
    return np.sqrt(radius**2 - (Z - Z.mean()) ** 2) - np.sqrt(radius**2 - HEIGHT**2 / 4)


def plausible(x, y, n=40, seed=0, size=1.0):
    """Spines about a centre line that differ by smooth waves of a few mm."""
    waves = np.stack([np.sin(np.pi * k * T) / k for k in (1, 2, 3)])
    a, b = np.random.default_rng(seed).normal(0, 3 * size, (2, n, 3))
    return Plausible((x + a @ waves).T, (y + b @ waves).T)


def curved_values(curve):
    return {name: value.value for name, value in curve if isinstance(value, Measured)}


@pytest.mark.parametrize("angle", [4.0, 10.0, 16.0, 20.0])
@pytest.mark.parametrize("turn", [20.0, 45.0, 90.0, 130.0])
def test_an_arc_in_any_vertical_plane(angle, turn):
    bulge = arc(angle)
    x, y = np.sin(np.radians(turn)) * bulge, np.cos(np.radians(turn)) * bulge
    found = measure_spine(Z, x, y)
    (curve,) = found.curves
    assert curve.direction == "left"
    got = curved_values(curve)
    assert got["curvature_plane_deg"] == pytest.approx(turn, abs=0.1)
    assert got["best_fit_plane_deg"] == pytest.approx(turn, abs=0.1)
    assert got["curvature_deg"] == pytest.approx(angle, abs=0.1)
    assert got["torsion_deg_per_cm"] == pytest.approx(0, abs=1e-3)
    share = np.sin(np.radians(turn))
    coronal = 2 * np.degrees(np.arctan(share * bulge.max() / (HEIGHT / 2)))
    assert found.ferguson_deg.value == pytest.approx(coronal, abs=0.1)
    end = np.degrees(np.arctan(share * np.tan(np.radians(angle / 2))))
    assert found.cobb_equivalent_deg.value == pytest.approx(2 * end, abs=0.1)
    assert found.coronal_offset_mm.value == pytest.approx(np.diff(np.interp(BODIES, Z, x))[0], abs=0.1)
    assert found.sagittal_offset_mm.value == pytest.approx(np.diff(np.interp(BODIES, Z, y))[0], abs=0.1)


BODIES = 100 + HEIGHT * LEVEL_HEIGHTS[[Vertebra.L5, Vertebra.T1]]


@pytest.mark.parametrize("hand", [1.0, -1.0])
@pytest.mark.parametrize("radius", [10.0, 25.0])
def test_a_helix_has_its_torsion(radius, hand):
    """Axes are left-handed: x = cos, y = sin along z turns to the left."""
    pitch = 600.0 / (2 * np.pi)
    angle = hand * (Z - Z.mean()) / pitch
    line = _Spines(Z, (radius * np.cos(angle))[:, None], (radius * np.sin(angle))[:, None])
    true = -hand * 10 * np.degrees(pitch / (radius**2 + pitch**2))
    assert line.space.torsion_deg_per_cm(0.15, 0.85)[0] == pytest.approx(true, abs=0.1)
    plane, bend = line.space.curvature_plane(0.2, 0.8)  # about the middle the helix is convex to the left
    assert plane[0] == pytest.approx(90, abs=0.4)  # the smoothing of an uneven grid
    true_bend = 2 * np.degrees(np.arctan(radius / pitch * np.sin(0.3 * HEIGHT / pitch)))
    assert bend[0] == pytest.approx(true_bend, rel=0.05)


def test_an_s_curve_is_two_curves_in_one_plane():
    found = measure_spine(Z, S, 0 * Z)
    upper, lower = found.curves
    assert (upper.type, lower.type) == (CurveType.THORACIC, CurveType.LUMBAR)
    assert (upper.direction, lower.direction) == ("left", "right")
    for curve in found.curves:
        got = curved_values(curve)
        assert got["curvature_plane_deg"] == pytest.approx(90, abs=0.1)
        assert got["best_fit_plane_deg"] == pytest.approx(90, abs=0.1)
        assert got["torsion_deg_per_cm"] == pytest.approx(0, abs=1e-6)
    assert found.curve_count == 2
    true = 2 * np.degrees(np.arctan(10 / (HEIGHT / 4)))
    assert found.ferguson_deg.value == pytest.approx(true, abs=0.1)


@settings(deadline=None, max_examples=12)
@given(
    st.lists(st.floats(-12, 12), min_size=6, max_size=6),
    st.floats(-300, 300), st.floats(-300, 300),
)  # fmt: skip
def test_a_mirror_swaps_sides_alone_and_place_does_not_matter(sizes, across, up):
    waves = np.stack([np.sin(np.pi * k * T) for k in (1, 2, 3)])
    x, y = sizes[:3] @ waves, sizes[3:] @ waves
    one, other = measure_spine(Z, x, y), measure_spine(Z + up, across - x, y - across)
    for name, value in one.values().items():
        sign = -1 if name == "coronal_offset_mm" else 1
        assert other.values()[name].value == pytest.approx(sign * value.value, abs=1.1e-3)
    for a, b in zip(one.curves, other.curves, strict=True):
        if a.ferguson_deg.value < 0.1:
            continue
        assert {a.direction, b.direction} == {"left", "right"}
        assert (a.type, a.apex, a.upper_end, a.lower_end) == (b.type, b.apex, b.upper_end, b.lower_end)
        before, after = curved_values(a), curved_values(b)
        before["torsion_deg_per_cm"] *= -1  # left- and right-handed
        assert after == pytest.approx(before, abs=2.1e-3)


def test_the_measures_are_those_of_their_own_functions():
    x, y = S + 5 * np.sin(3 * np.pi * T), 30 * np.sin(np.pi * T)
    found = measure_spine(Z, x, y)
    coronal = coronal_angles(Z, x)
    assert found.ferguson_deg.value == round(coronal.ferguson_deg, 3)
    assert found.cobb_equivalent_deg.value == round(coronal.cobb_equivalent_deg, 3)
    assert found.kyphosis_deg.value == pytest.approx(kyphosis_deg(Z, y), abs=6e-4)
    assert found.main.ferguson_deg.value == round(coronal.ferguson_deg, 3)
    assert [c.apex for c in found.curves] == [c.apex.name for c in coronal.curves]


def test_many_lines_at_once_are_measured_as_each_alone():
    lines = plausible(S, 20 * np.sin(np.pi * T))
    ferguson, cobb, side = _Spines(Z, *lines).coronal()
    whole = _Spines(Z, *lines).whole()
    for k in range(0, lines.x_mm.shape[1], 5):
        one = measure_spine(Z, lines.x_mm[:, k], lines.y_mm[:, k])
        assert ferguson[k] == pytest.approx(one.ferguson_deg.value, abs=0.1)
        assert cobb[k] == pytest.approx(one.cobb_equivalent_deg.value, abs=0.1)
        assert whole["lordosis_deg"][k] == pytest.approx(one.lordosis_deg.value, abs=6e-4)
        if one.ferguson_deg.value - sorted(c.ferguson_deg.value for c in one.curves)[-2] > 0.1:
            assert (side[k] > 0) == (one.main.direction == "left")


def test_intervals_hold_their_values_and_grow_with_the_spread():
    y = 20 * np.sin(np.pi * T)
    narrow, wide = (measure_spine(Z, S, y, plausible=plausible(S, y, size=size)) for size in (0.5, 1.5))
    for name, value in narrow.values().items():
        low, high = value.interval90
        assert low <= value.value <= high
        assert wide.values()[name].interval90[1] - wide.values()[name].interval90[0] > high - low
    for curve in narrow.curves:
        low, high = curve.ferguson_deg.interval90
        assert low <= curve.ferguson_deg.value <= high


@pytest.mark.parametrize("sd", [0.0, 0.4])
def test_thresholds_inside_the_interval_are_named(sd):
    x = arc(20.0)  # a Ferguson angle of 10°
    shift = np.linspace(-1, 1, 41)
    spines = Plausible(x[:, None] * (1 + sd * shift), np.zeros((209, 41)))
    found = measure_spine(Z, x, 0 * Z, plausible=spines)
    assert (10.0 in found.thresholds_crossed_deg) == (sd > 0)
    assert any("holds the threshold of 10" in r for r in found.screening.reasons) == (sd > 0)
    chance = found.screening.probability
    assert sum(chance.values()) == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(("angle", "finding"), [(4.0, "none"), (15.0, "6-10"), (40.0, ">=10")])
def test_screening_by_the_angle(angle, finding):
    found = measure_spine(Z, arc(angle) + 0.1 * T * HEIGHT, 0 * Z, warnings=["possibly metal"])
    screening = found.screening
    assert screening.finding == finding
    assert screening.deciding_curve == 0
    assert screening.reasons[0] == "possibly metal"
    assert any("tilted" in reason and "right of L5" in reason for reason in screening.reasons)
    assert any("repeatability" in reason for reason in screening.reasons) == (angle == 15.0)
    assert screening.probability is None


def test_a_straight_spine_has_no_curve_to_decide():
    found = measure_spine(Z, 0 * Z, 0 * Z)
    assert (found.main, found.curves, found.screening.deciding_curve) == (None, (), None)
    assert found.screening.finding == "none"
    assert SpineMeasures.from_dict(found.to_dict()).to_dict() == found.to_dict()


def test_types_by_apex():
    expected = {"T1": "proximal thoracic", "T5": "proximal thoracic", "T6": "thoracic", "T11": "thoracic",
                "T12": "thoracolumbar", "L1": "thoracolumbar", "L2": "lumbar", "L5": "lumbar"}  # fmt: skip
    assert {name: CurveType.of(Vertebra[name]).value for name in expected} == expected


def test_levels_lie_between_the_ends_in_order():
    z, sd = levels_mm(100.0, 540.0)
    assert (np.diff(z) > 0).all()
    assert 100 < z[0] < 115
    assert 520 < z[-1] < 540
    assert (sd > 1).all()
    assert (sd < 8).all()
    assert sd.argmax() in range(Vertebra.T8, Vertebra.L3)
    found = measure_spine(Z, S, 0 * Z).levels
    assert found["L5"].z_mm == pytest.approx(z[-1])


@pytest.mark.parametrize(
    ("height", "said"), [(440, None), (530, "13 thoracic or 6 lumbar"), (350, "11 thoracic")]
)
def test_an_unusual_height_is_warned_of_and_shifts_nothing(height, said):
    warning = numbering_warning(height)
    assert warning is None if said is None else said in warning


def test_a_spine_with_itself_has_no_change():
    y = 20 * np.sin(np.pi * T)
    for spread in (None, plausible(S, y)):
        found = measure_spine(Z, S, y, plausible=spread)
        change = compare_spines(found, found)
        assert all(c.change == 0 and not c.beyond for c in change.changes)
        assert "beyond repeatability: nothing" in str(change)
        assert str(change).count("no change") == len(change.changes)


def test_a_change_is_judged_by_the_published_repeatability_or_wider_intervals():
    before, small, large = (measure_spine(Z, arc(a), 0 * Z) for a in (10.0, 20.0, 26.0))
    assert compare_spines(before, small)["ferguson_deg"].beyond is False  # 5°
    assert compare_spines(before, large)["ferguson_deg"].beyond is True  # 8°
    assert compare_spines(before, large)["kyphosis_deg"].detectable is None
    spread = np.linspace(0.2, 1.8, 30)
    wide = [
        measure_spine(Z, x, 0 * Z, plausible=Plausible(x[:, None] * spread, np.zeros((209, 30))))
        for x in (arc(10.0), arc(26.0))
    ]
    change = compare_spines(*wide)["ferguson_deg"]
    assert change.detectable > 6.2
    assert change.beyond is False


def test_vertebral_centres_and_lines_from_python():
    z = np.linspace(0, 420, 17)
    line = np.sqrt(1200**2 - (z - 210) ** 2)
    found = spinelift.measure(np.stack([line, 0 * z, z], 1))
    assert found.ferguson_deg.value == pytest.approx(np.degrees(np.arcsin(210 / 1200)), abs=0.1)
    assert found.levels["T12"].z_mm == z[Vertebra.T12]
    assert found.levels["T12"].interval90 is None
    assert spinelift.measure(np.stack([S, 0 * Z, Z], 1)).curve_count == 2


@pytest.mark.parametrize(
    "spine", [np.zeros((17, 2)), np.zeros(5), "nothing.json", {}, {"format": 2}, [["a"]], None]
)
def test_what_is_no_spine_is_refused(spine):
    with pytest.raises(SpineliftError) as error:
        spinelift.measure(spine)
    assert error.value.do


def test_lines_of_other_lengths_are_refused():
    with pytest.raises(InvalidCurveError):
        measure_spine(Z, S, S[:-1])


def test_a_value_is_rounded_where_it_is_made_so_that_page_and_document_round_alike():
    value = Measured(value=-19.9503, interval90=(-22.20049, -16.4996))
    assert (value.value, value.interval90) == (-19.95, (-22.2, -16.5))
    assert f"{value.value:.1f}" == f"{value.model_dump()['value']:.1f}"
