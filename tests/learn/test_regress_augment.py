import numpy as np
import pytest
import torch
from store_cases import painted_pair

from spinelift.curves import Curve
from spinelift.geometry import CROP_SIZE, FIRST_SPINE_ROW, SPINE_ROWS
from spinelift.learn.images import _by_convolution, _by_matrix, degrade, gaussian_blur, local_mean, smear
from spinelift.learn.random import Random
from spinelift.learn.regressor.augment import (
    Batch,
    Placement,
    among_strangers,
    augment,
    centre_columns,
    draw_placement,
    mirror_curves,
    place,
    scramble,
    tone_share,
)
from spinelift.learn.regressor.config import AugmentConfig, GeometryAugment, ToneAugment
from spinelift.learn.regressor.tone import change_tone, tone_tables


def ramp_batch(n: int = 4) -> Batch:
    """An image whose grey is a ridge along the coronal centre curve, on which positions can be read."""
    rng = np.random.default_rng(3)
    curves = torch.from_numpy(np.stack([painted_pair(rng)[1] for _ in range(n)]))
    rows = torch.arange(CROP_SIZE)
    at = (rows - FIRST_SPINE_ROW).clamp(0, 208)
    low = at.floor().long().clamp(max=207)
    centre = curves[:, Curve.CENTRE]
    middle = centre[:, low] * (1 - (at - low)) + centre[:, low + 1] * (at - low)
    away = torch.arange(CROP_SIZE) - middle[..., None]
    return Batch(
        255 * torch.exp(-0.5 * (away / 4) ** 2)[:, None],
        curves,
        torch.full((n,), 2.0),
        torch.ones(n, SPINE_ROWS),
    )


def ridge(image: torch.Tensor) -> torch.Tensor:
    """Column of the ridge in each row [B, 224]."""
    columns = torch.arange(CROP_SIZE)
    return (image[:, 0] * columns).sum(2) / image[:, 0].sum(2)


def still(n: int, **changed: torch.Tensor) -> Placement:
    p = Placement(
        torch.zeros(n, dtype=torch.bool),
        torch.ones(n),
        torch.zeros(n),
        torch.ones(n),
        torch.zeros(n, CROP_SIZE),
    )
    return p._replace(**changed)


def test_no_change_changes_nothing():
    batch = ramp_batch()
    got = place(batch, still(4))
    torch.testing.assert_close(got.image, batch.image, atol=0.02, rtol=0)
    torch.testing.assert_close(got.curves, batch.curves, atol=1e-4, rtol=0)


def test_mirror_swaps_left_and_right_and_leaves_depth():
    batch = ramp_batch()
    got = place(batch, still(4, mirror=torch.ones(4, dtype=torch.bool)))
    torch.testing.assert_close(got.image, batch.image.flip(3), atol=0.02, rtol=0)
    torch.testing.assert_close(got.curves[:, 0], 223 - batch.curves[:, 2])
    torch.testing.assert_close(got.curves[:, 3:], batch.curves[:, 3:], atol=1e-4, rtol=0)
    assert (got.curves[:, 0] > got.curves[:, 1]).all()
    torch.testing.assert_close(mirror_curves(mirror_curves(batch.curves)), batch.curves)


def test_curves_follow_the_pixels_through_random_placements():
    batch = ramp_batch(16)
    random = Random("cpu", 5)
    p = draw_placement(16, GeometryAugment(mirror=0.5, warp=1.0, scale=0.03), random)
    got = place(batch, p)
    rows = torch.arange(20, 204)
    seen = ridge(got.image)[:, rows]
    k = rows - FIRST_SPINE_ROW
    low = k.floor().long()
    centre = (got.curves[:, Curve.CENTRE, low] + got.curves[:, Curve.CENTRE, low + 1]) / 2
    assert (seen - centre).abs().max() < 0.25
    assert (centre - (batch.curves[:, Curve.CENTRE, low])).abs().max() > 3


def test_depth_keeps_its_millimetres():
    batch = ramp_batch()
    got = place(batch, still(4, scale=torch.full((4,), 1.02)))
    assert got.mm_per_px[0] == pytest.approx(2.04)
    before = (batch.curves[:, 5] - batch.curves[:, 3]) * batch.mm_per_px[:, None]
    after = (got.curves[:, 5] - got.curves[:, 3]) * got.mm_per_px[:, None]
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)
    assert got.curves[:, Curve.SAGITTAL].mean(1).abs().max() < 1e-4


def test_a_shifted_crop_continues_straight():
    batch = ramp_batch(1)
    line = torch.linspace(0, 10, 209).expand(6, 209)
    got = place(batch._replace(curves=line[None]), still(1, shift=torch.tensor([5.0])))
    steps = got.curves[0, 1].diff()
    torch.testing.assert_close(steps, torch.full_like(steps, 10 / 208), atol=1e-4, rtol=0)


def test_augmentation_is_reproducible_bounded_and_leaves_its_input():
    batch = ramp_batch(8)
    before = batch.image.clone()
    runs = [augment(batch, AugmentConfig(), Random("cpu", s)) for s in (1, 1, 2)]
    assert torch.equal(runs[0].image, runs[1].image)
    assert torch.equal(runs[0].curves, runs[1].curves)
    assert not torch.equal(runs[0].image, runs[2].image)
    assert torch.equal(batch.image, before)
    for run in runs:
        assert run.image.shape == (8, 1, 224, 224)
        assert run.image.isfinite().all()
        assert run.curves.isfinite().all()
        assert 0 <= run.image.min() <= run.image.max() <= 255


def test_changed_tones_come_in_over_the_run():
    config = AugmentConfig(plain=0.2, ramp=0.5)
    assert [tone_share(config, p) for p in (0, 0.25, 0.5, 1)] == pytest.approx([0.2, 0.5, 0.8, 0.8])
    assert tone_share(AugmentConfig(plain=0, ramp=0), 0.0) == 1


def test_tone_can_be_switched_off():
    numbers = [name for name, field in ToneAugment.model_fields.items() if isinstance(field.default, float)]
    off = dict.fromkeys(numbers, 0.0) | {"keep_air": 1.0, "saturate_gain": 1.0}
    image = torch.randint(0, 256, (3, 1, 224, 224)).float()
    got = change_tone(image, ToneAugment(**off), Random("cpu", 0))
    torch.testing.assert_close(got, image, atol=1e-3, rtol=0)


def test_tone_tables_rise():
    config = ToneAugment(brightness=0.0, keep_air=1.0)
    tables = tone_tables(50, config, Random("cpu", 0))
    assert (tables.diff(dim=1) >= -1e-6).all()
    assert (tables[:, 0] == 0).all()


def test_degradation_destroys_some_images():
    x = ramp_batch(64).image[:1].expand(64, 1, 224, 224) / 255
    y = degrade(x, Random("cpu", 0))
    flat = torch.stack([x.flatten(1), y.flatten(1)], 1)
    alike = torch.tensor([torch.corrcoef(pair)[0, 1] for pair in flat])
    assert alike.min() < 0.3
    assert alike.max() > 0.8


def test_blur_of_a_dot_has_its_width_and_keeps_its_sum():
    x = torch.zeros(2, 1, 41, 41)
    x[:, :, 20, 20] = 1.0
    y = gaussian_blur(x, torch.tensor([1.0, 2.0]), 2.0)
    at = torch.arange(41) - 20.0
    width = ((y[:, 0].sum(1) * at**2).sum(1)).sqrt()
    torch.testing.assert_close(y.sum((1, 2, 3)), torch.ones(2))
    assert width.tolist() == pytest.approx([1.0, 2.0], rel=0.07)


def test_blur_is_the_same_by_convolution_and_by_matrix():
    x, kernel = torch.rand(3, 1, 30, 20), torch.rand(3, 11)
    torch.testing.assert_close(_by_matrix(x, kernel), _by_convolution(x, kernel))


@pytest.mark.parametrize(("share", "n"), [(0.3, 16), (0.05, 16), (0.0, 16), (1.0, 5)])
def test_a_share_of_images_is_a_count_that_is_right_on_average(share, n):
    random = Random("cpu", 1)
    picks = [random.some(n, share) for _ in range(500)]
    counts = [0 if p is None else len(p) for p in picks]
    assert sum(counts) / 500 == pytest.approx(share * n, abs=0.1)
    assert max(counts) - min(counts) <= 1
    assert all(p is None or len(p.unique()) == len(p) for p in picks)


def test_random_numbers_depend_on_every_number_of_their_seed():
    first, again, other = (Random("cpu", *seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(first.rand(4), again.rand(4))
    assert first.host.random() == again.host.random() != other.host.random()
    again.seed(1, 3)
    assert torch.equal(again.rand(4), other.rand(4))


def test_local_mean_of_a_constant_is_the_constant_to_the_border():
    torch.testing.assert_close(
        local_mean(torch.full((1, 1, 30, 40), 3.0), 9), torch.full((1, 1, 30, 40), 3.0)
    )


def test_a_scrambled_spine_stays_where_it_is_and_is_out_of_order():
    n = 6
    rows = np.arange(SPINE_ROWS)
    middle = 111.5 + 14 * np.sin(rows / 40) + 0.05 * rows
    curves = torch.from_numpy(np.tile(middle, (n, 6, 1)).astype(np.float32))
    image = torch.zeros(n, 1, 224, 224)
    every = np.arange(224)
    at = np.interp(every - 7.5, rows, middle)
    image[:, 0] = torch.from_numpy(
        np.exp(-0.5 * ((every[None] - at[:, None]) / 2) ** 2) * (50 + every[:, None])
    )
    batch = Batch(image.float(), curves, torch.full((n,), 2.0), torch.ones(n, SPINE_ROWS))
    out = scramble(batch, Random("cpu", 3))
    assert torch.equal(out.curves, curves)
    seen = out.image[:, 0, 10:214].numpy()
    place = (seen * every).sum(2) / np.maximum(seen.sum(2), 1e-6)
    assert np.abs(place - at[10:214]).mean() < 1.0
    order = np.diff(seen.max(2), axis=1)
    assert ((order < 0).sum(1) > 5).all()


def test_a_smeared_band_loses_its_levels_and_the_rest_keeps_them():
    stripes = torch.zeros(4, 1, 224, 32)
    stripes[:, :, ::8] = 1.0
    out = smear(stripes, Random("cpu", 0), 8.0)
    change = (out - stripes).abs().amax(3)[:, 0]
    assert (change.amax(1) > 0.2).all()
    assert (change.amin(1) < 0.05).all()
    assert torch.allclose(out.mean((1, 2, 3)), stripes.mean((1, 2, 3)), atol=0.02)


def test_strangers_keep_the_spine_and_lend_the_rest():
    batch = ramp_batch(3)
    image = batch.image + torch.tensor([10.0, 60.0, 110.0])[:, None, None, None]
    out = among_strangers(batch._replace(image=image), Random("cpu", 2))
    middle = centre_columns(batch.curves).round().long()
    for k in range(3):
        rows = torch.arange(20, 200)
        assert torch.equal(out.image[k, 0, rows, middle[k, rows]], image[k, 0, rows, middle[k, rows]])
        lent = out.image[k, 0, 100, (middle[k, 100] + 35) % CROP_SIZE]
        assert abs(float(lent) - [110.0, 10.0, 60.0][k]) < 3.0


def test_known_rows_move_with_the_image():
    batch = ramp_batch(2)
    valid = torch.zeros(2, SPINE_ROWS)
    valid[:, 50:120] = 1
    batch = batch._replace(valid=valid)
    n = torch.zeros(2)
    torch.testing.assert_close(place(batch, still(2)).valid, valid)
    torch.testing.assert_close(place(batch, still(2, mirror=n == 0)).valid, valid)
    down = place(batch, still(2, shift=n - 6)).valid  # the content moves 6 rows to the feet
    torch.testing.assert_close(down, valid.roll(6, 1))
    larger = place(batch, still(2, scale=n + 0.5)).valid
    assert larger.sum() == pytest.approx(2 * 135, abs=2)  # the first ones have left the crop
    ends = batch._replace(valid=torch.ones(2, SPINE_ROWS))
    assert place(ends, still(2, shift=n - 6)).valid.all()  # beyond the ends the spine goes on straight
