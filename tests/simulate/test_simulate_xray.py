from dataclasses import replace

import numpy as np
import pytest

from spinelift.simulate.dxa.xray import LEVELS, acquire, enlarge, sample_scanner

PLAIN = {
    "texture": 0.0,
    "mottle": 0.0,
    "pits": 0.0,
    "grain": 0.0,
    "line_gain": 0.0,
    "line_shift": 0.0,
    "sharpen": 0.0,
    "lean_gain": 0.0,
    "fat_gain": 0.0,
    "gamma": 1.0,
    "shown": 1 / 1.2,
}


def maps():
    """Air all around; a body of 18 g/cm²; four strips of 0.5 to 2 g/cm² bone; nothing symmetric."""
    out = np.zeros((3, 120, 90))
    out[1, 15:110, 12:70], out[2, 15:110, 12:70] = 12, 6
    for k in range(4):
        out[0, 20 + 20 * k : 36 + 20 * k, 20:52] = 0.5 * (k + 1)
    return out


def scanner(seed=0, **changes):
    usual = sample_scanner(np.random.default_rng(seed))
    return replace(usual, photons_low=1e7, photons_high=1e7, **{**PLAIN, **changes})


def strips(picture):
    return np.array([picture[24 + 20 * k : 32 + 20 * k, 26:46].mean() for k in range(4)])


def test_more_bone_is_brighter_and_linear_for_a_linear_tone():
    bone, _ = acquire(maps(), scanner(offset=0.5), np.random.default_rng(0))
    grey = strips(bone)
    assert (np.diff(grey) > 10).all()
    np.testing.assert_allclose(np.diff(grey), np.diff(grey).mean(), rtol=0.1)


def test_air_is_zero_and_levels_are_few():
    for seed in range(4):
        chosen = sample_scanner(np.random.default_rng(seed))
        for picture in acquire(maps(), chosen, np.random.default_rng(seed)):
            assert picture.dtype == np.uint8
            assert picture[:10].max() == picture[:, 76:].max() == 0
            levels = np.unique(picture)
            assert len(levels) <= LEVELS + 1
            assert 1 not in levels


def test_the_tissue_picture_shows_thickness_not_bone():
    thick = maps()
    thick[1, 15:110, 40:70] += 6
    bone, tissue = acquire(thick, scanner(offset=0.5), np.random.default_rng(0))
    assert tissue[108, 50:65].mean() > tissue[108, 15:35].mean() + 20
    assert abs(float(bone[108, 50:65].mean()) - float(bone[108, 15:35].mean())) < 6


def test_fewer_photons_make_more_noise():
    def noise(photons):
        chosen = replace(scanner(offset=0.5), photons_low=photons, photons_high=photons)
        bone, _ = acquire(maps(), chosen, np.random.default_rng(1))
        return bone[84:94, 24:48].std()

    assert noise(3e4) > 1.5 * noise(3e5) > noise(3e7)


def test_the_same_numbers_make_the_same_picture():
    chosen = sample_scanner(np.random.default_rng(7))
    one, same, other = (acquire(maps(), chosen, np.random.default_rng(s))[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_body_without_bone_and_no_body_at_all():
    soft = maps()
    soft[0] = 0
    bone, _ = acquire(soft, scanner(), np.random.default_rng(0))
    assert np.isfinite(bone).all()
    for picture in acquire(np.zeros((3, 40, 30)), scanner(), np.random.default_rng(0)):
        assert picture.max() == 0


def test_enlarging_is_linear_between_pixel_centres_and_keeps_the_levels():
    bone, _ = acquire(maps(), scanner(), np.random.default_rng(0))
    large = enlarge(bone, 4)
    assert large.shape == (480, 360)
    assert set(np.unique(large)) <= set(np.round(np.arange(LEVELS + 1) * 255 / LEVELS).astype(int))
    blocks = large.reshape(120, 4, 90, 4).astype(float).mean((1, 3))
    assert np.abs(blocks[26:30, 28:44] - bone[26:30, 28:44]).mean() < 3
    np.testing.assert_allclose(blocks[:, ::-1][:10], 0)
    assert np.corrcoef(blocks.ravel(), bone.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("axis", [0, 1])
def test_pictures_are_neither_mirrored_nor_turned(axis):
    bone, _ = acquire(maps(), scanner(), np.random.default_rng(0))
    there = np.flatnonzero(bone.any(1 - axis))
    expected = np.flatnonzero(maps().sum(0).any(1 - axis))
    assert abs(int(there[0]) - int(expected[0])) <= 2
    assert abs(int(there[-1]) - int(expected[-1])) <= 2
