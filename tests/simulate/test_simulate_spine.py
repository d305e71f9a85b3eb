import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from spinelift.curves import Curve
from spinelift.curves.masks import coronal_from_edges, mask_edges
from spinelift.geometry import Spacing
from spinelift.measures import SCOLIOSIS_DEG, coronal_angles
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.physique import Physique, sample_physique
from spinelift.simulate.body.spine import PosedSpine, frames_along, pose, sample_spine, with_sagittal_curve

ADULT = Physique(female=False, age=60, height_mm=1678, bmi=25, density_z=0)


def straight(step=26.0):
    centres = np.zeros((17, 3))
    centres[:, 2] = step * np.arange(17)
    return centres


def arc(convex_to=1.0, bend_mm=30.0):
    """A single coronal curve, convex to the patient's left for +1."""
    centres = straight()
    t = np.linspace(-1, 1, 17)
    centres[:, 0] = convex_to * bend_mm * (1 - t**2)
    return centres


def test_curves_of_an_upright_spine_are_in_closed_form():
    size = np.tile([40.0, 30.0, 20.0], (17, 1))
    spine = PosedSpine(straight(), np.tile(np.eye(3), (17, 1, 1)), size)
    z, mm = spine.curves_mm()
    assert z[0] == pytest.approx(-10)
    assert z[-1] == pytest.approx(16 * 26 + 10)
    np.testing.assert_allclose(mm[[Curve.CENTRE, Curve.SAGITTAL]], 0, atol=1e-9)
    mean = 1 - 2 / 3 * morphometry.WAIST  # of the waist's parabola over the height
    np.testing.assert_allclose(mm[Curve.LEFT], 20 * mean)
    np.testing.assert_allclose(mm[Curve.RIGHT], -20 * mean)
    np.testing.assert_allclose(mm[Curve.POSTERIOR], 15 * mean)
    np.testing.assert_allclose(mm[Curve.ANTERIOR], -15 * mean)


@pytest.mark.parametrize("seed", range(3))
def test_curves_pass_through_centres_and_ends(prior, seed):
    rng = np.random.default_rng(seed)
    physique = sample_physique(rng)
    spine = sample_spine(prior, physique, rng)
    z, mm = spine.curves_mm()
    top, bottom = spine.ends
    assert (z[0], z[-1]) == pytest.approx((top[2], bottom[2]))
    assert (mm[Curve.CENTRE, 0], mm[Curve.CENTRE, -1]) == pytest.approx((top[0], bottom[0]))
    x = np.interp(spine.centres[:, 2], z, mm[Curve.CENTRE])
    y = np.interp(spine.centres[:, 2], z, mm[Curve.SAGITTAL])
    np.testing.assert_allclose(x, spine.centres[:, 0], atol=0.1)
    np.testing.assert_allclose(y - y.mean(), spine.centres[:, 1] - spine.centres[:, 1].mean(), atol=0.1)
    assert mm[Curve.SAGITTAL].mean() == pytest.approx(0, abs=1e-9)
    assert (mm[Curve.LEFT] > mm[Curve.CENTRE]).all()
    assert (mm[Curve.CENTRE] > mm[Curve.RIGHT]).all()
    assert (mm[Curve.ANTERIOR] < mm[Curve.SAGITTAL]).all()
    assert (mm[Curve.SAGITTAL] < mm[Curve.POSTERIOR]).all()


def test_moving_a_spine_moves_its_coronal_curves():
    spine = PosedSpine(arc(), frames_along(arc(), np.zeros(17)), np.tile([40.0, 30, 20], (17, 1)))
    z, mm = spine.curves_mm()
    z2, mm2 = spine.moved(np.array([7.0, -3.0, 11.0])).curves_mm()
    np.testing.assert_allclose(z2, z + 11)
    np.testing.assert_allclose(mm2[:3], mm[:3] + 7)
    np.testing.assert_allclose(mm2[3:], mm[3:], atol=1e-9)


def test_frames_are_orthonormal_and_named_rightly():
    frames = frames_along(arc(), np.zeros(17))
    np.testing.assert_allclose(frames.transpose(0, 2, 1) @ frames, np.tile(np.eye(3), (17, 1, 1)), atol=1e-12)
    left, posterior, down = (frames[:, :, k] for k in range(3))
    assert (left[:, 0] > 0.9).all()
    assert (posterior[:, 1] > 0.9).all()
    assert (down[:, 2] > 0.9).all()


@pytest.mark.parametrize("angle", [-20.0, -1e-6, 0.0, 1e-6, 20.0])
def test_a_positive_turn_brings_the_front_to_the_left(angle):
    frames = frames_along(straight(), np.full(17, angle))
    front = -frames[:, :, 1]
    np.testing.assert_allclose(front[:, 0], np.sin(np.radians(angle)), atol=1e-12)
    np.testing.assert_allclose(front[:, 1], -np.cos(np.radians(angle)), atol=1e-12)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_bodies_turn_towards_the_convexity(side):
    """Convex to the left: the front of the body turns to the left (mean over people)."""
    turns = []
    for seed in range(60):
        spine = pose(arc(side), ADULT, np.random.default_rng(seed))
        front = -spine.frames[:, :, 1]
        turns.append(np.degrees(np.arctan2(front[4:13, 0], -front[4:13, 1])).mean())
    assert np.sign(np.mean(turns)) == side
    assert 1 < abs(np.mean(turns)) < 15


def test_sizes_grow_to_the_feet_and_fit_between_their_neighbours(prior):
    rng = np.random.default_rng(2)
    spines = [sample_spine(prior, ADULT, rng) for _ in range(40)]
    size = np.mean([s.size for s in spines], 0)
    np.testing.assert_allclose(size[:, 0] / morphometry.BODY_WIDTH, 1.04, atol=0.06)
    np.testing.assert_allclose(size[:, 1] / morphometry.BODY_DEPTH, 1.04, atol=0.06)
    assert (np.diff(gaussian_filter1d(size[3:, 0], 1)) > 0).all()
    for spine in spines:
        step = np.linalg.norm(np.diff(spine.centres, axis=0), axis=1)
        assert ((spine.size[1:, 2] + spine.size[:-1, 2]) / 2 < step).all()


MASK_MM = 2.4
"""Pixels of the segmenter's grid."""


def angle_on_mask(spine):
    """Modified Ferguson angle of the curve that a perfect mask of the spine gives."""
    z, mm = spine.curves_mm()
    rows = z[0] - 30 + MASK_MM * np.arange((z[-1] - z[0] + 60) / MASK_MM)
    cols = mm[:3].min() - 30 + MASK_MM * np.arange((np.ptp(mm[:3]) + 60) / MASK_MM)
    left, right = (np.interp(rows, z, mm[c])[:, None] for c in (Curve.LEFT, Curve.RIGHT))
    inside = ((rows >= z[0]) & (rows <= z[-1]))[:, None] & (cols >= right) & (cols <= left)
    heights, curves = coronal_from_edges(mask_edges(inside.astype(float), Spacing(MASK_MM, MASK_MM)))
    return coronal_angles(heights, curves[1]).ferguson_deg


def test_one_in_five_is_scoliotic_on_the_curves_that_are_learnt(prior):
    spines = []
    for n in range(200):
        rng = np.random.default_rng([5, n])
        spines.append(sample_spine(prior, sample_physique(rng), rng))
    true = np.array([spine.ferguson_deg for spine in spines])
    measured = np.array([angle_on_mask(spine) for spine in spines])
    scoliotic = true >= SCOLIOSIS_DEG
    assert scoliotic.mean() == pytest.approx(0.2, abs=0.06)
    assert (measured >= SCOLIOSIS_DEG).mean() == pytest.approx(scoliotic.mean(), abs=0.02)
    assert np.abs(measured - true).mean() < 0.5
    assert np.abs(measured - true).max() < 2
    assert true.max() < 75
    assert np.median(true) < 9


@pytest.mark.parametrize("person", [[7, 413], [6008, 2659]])
def test_an_extreme_curve_is_still_a_spine(prior, person):
    """One drew a coronal step of 67°, the other a sagittal one of 55°: the line turned upwards."""
    rng = np.random.default_rng(person)
    z, _ = sample_spine(prior, sample_physique(rng), rng).curves_mm()
    assert (np.diff(z) > 0).all()


def test_a_foreign_sagittal_curve_leaves_the_coronal_view(prior):
    rng = np.random.default_rng(3)
    own, other = (sample_spine(prior, ADULT, rng) for _ in range(2))
    mixed = with_sagittal_curve(own, other, rng)
    np.testing.assert_array_equal(mixed.centres[:, [0, 2]], own.centres[:, [0, 2]])
    np.testing.assert_array_equal(mixed.size, own.size)

    def inclination(spine):
        return np.polyfit(spine.centres[:, 2], spine.centres[:, 1], 1)[0]

    assert inclination(mixed) == pytest.approx(inclination(other), abs=0.005)
    assert abs(inclination(mixed) - inclination(own)) > 0.02
    np.testing.assert_allclose(
        mixed.frames.transpose(0, 2, 1) @ mixed.frames, np.tile(np.eye(3), (17, 1, 1)), atol=1e-12
    )
    fronts = [-s.frames[:, :, 1] for s in (own, mixed)]
    turns = [np.degrees(np.arctan2(f[:, 0], -f[:, 1])) for f in fronts]
    np.testing.assert_allclose(turns[0], turns[1], atol=3)
