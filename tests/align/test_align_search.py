"""Stage 1 with the features that need no training."""

from dataclasses import dataclass

import numpy as np
import pytest
from align_cases import body_pair, truth_of

from spinelift.align.gradients import FeatureMap, GradientFeatures
from spinelift.align.pipeline import ENCODERS_REACH_MM, align_pair
from spinelift.align.plane import PlaneImage
from spinelift.align.search import ANGLES_DEG, _FixedMap, peak, search
from spinelift.geometry import PixelGrid, Spacing

CENTRE = (8.0, 48.0)


def test_the_angles_are_the_papers():
    assert len(ANGLES_DEG) == 10
    assert (ANGLES_DEG[0], ANGLES_DEG[-1]) == (-2.0, 2.0)


def test_the_response_is_the_normalised_correlation_at_every_shift():
    rng = np.random.default_rng(1)
    fixed = rng.normal(size=(3, 9, 7)).astype(np.float32)
    moving = rng.normal(size=(3, 4, 5)).astype(np.float32)
    response = _FixedMap.of(fixed, moving).response(moving)
    assert response.shape == (12, 11)
    whole, part = fixed[:, 2:6, 1:6], fixed[:, 0:3, 2:7]  # shifts by (2, 1), and by (-1, 2)
    length = np.linalg.norm(moving)
    wanted = (whole * moving).sum() / np.linalg.norm(whole) / length
    assert response[3 + 2, 4 + 1] == pytest.approx(wanted, rel=1e-4)
    wanted = (part * moving[:, 1:]).sum() / np.linalg.norm(part) / length
    assert response[3 - 1, 4 + 2] == pytest.approx(wanted, rel=1e-4)


def test_a_parabola_finds_its_top():
    row, col = np.meshgrid(np.arange(9.0), np.arange(8.0), indexing="ij")
    score, place = peak((5 - (row - 4.3) ** 2 - 2 * (col - 2.8) ** 2).astype(np.float32))
    np.testing.assert_allclose(place, (4.3, 2.8), atol=1e-5)
    assert score == pytest.approx(5 - 0.09 - 0.08, abs=1e-5)
    assert peak(np.array([[2.0, 1.0], [0.0, 0.0]], np.float32))[1] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("rotation", "x", "z"), [(0.0, 215.0, 350.0), (1.4, 222.3, 371.1), (-1.4, 209.0, 333.7)]
)
def test_other_greys_same_edges(rotation, x, z):
    truth = truth_of(rotation, x, z, about=CENTRE)
    found = search(GradientFeatures(), *body_pair(truth))
    assert found.rotation_deg == pytest.approx(rotation, abs=0.3)
    np.testing.assert_allclose(found.apply(np.array(CENTRE)), truth.apply(np.array(CENTRE)), atol=2.0)


def test_a_better_match_beyond_reach_is_passed_over():
    """What lies 400 mm further to the feet cannot be the neck, however well it fits."""
    rng = np.random.default_rng(2)
    still = np.ones((80, 40), bool)
    grey = np.kron(rng.uniform(10, 200, (20, 10)), np.ones((4, 4))).astype(np.float32)
    mri = PlaneImage(np.stack([grey, grey]), PixelGrid((0.0, 0.0), Spacing(4.0, 4.0), still.shape), still)
    pixels = rng.uniform(0, 30, (260, 60)).astype(np.float32)
    pixels[60:140, 10:50] += grey  # in place, under noise
    pixels[160:240, 10:50] = grey
    wide = np.ones(pixels.shape, bool)
    dxa = PlaneImage(pixels[None], PixelGrid((0.0, 0.0), Spacing(4.0, 4.0), pixels.shape), wide)
    found = search(GradientFeatures(), dxa, mri, angles_deg=(-1.0, 0.0, 1.0))
    np.testing.assert_allclose(found.apply(np.zeros(2)), (40.0, 240.0), atol=3.0)


@dataclass(frozen=True)
class _Roughly(GradientFeatures):
    """Features of 16 mm that see the DXA ``down_mm`` further down than it is."""

    pixel_mm: float = 16.0
    sigma_mm: float = 16.0
    down_mm: float = 0.0

    def dxa(self, image):
        found = super().dxa(image)
        return FeatureMap(np.roll(found.values, int(self.down_mm / 16), 1), found.cell_px, found.first_px)


def test_encoders_say_where_about_and_edges_where():
    truth = truth_of(0.0, 215.0, 350.0, about=CENTRE)
    images = body_pair(truth)

    def z_error(found):
        return (found.image.apply(np.array(CENTRE)) - truth.apply(np.array(CENTRE)))[1]

    assert abs(z_error(align_pair(*images))) < 2.0
    assert abs(z_error(align_pair(*images, features=_Roughly()))) < 2.0
    led_astray = z_error(align_pair(*images, features=_Roughly(down_mm=160.0)))
    assert 160 - ENCODERS_REACH_MM[1] - 20 < led_astray < 160 + ENCODERS_REACH_MM[1] + 20
