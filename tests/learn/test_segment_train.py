import numpy as np
import pytest
import torch
from store_cases import make_scans

from spinelift.errors import ConfigError
from spinelift.learn.random import Random
from spinelift.learn.segmenter.augment import ScanBatch, augment_scans, place, windows
from spinelift.learn.segmenter.config import (
    ScanAugment,
    SegmenterConfig,
    SegmenterLossConfig,
    UnetConfig,
    WindowConfig,
)
from spinelift.learn.segmenter.train import heat_maps, load_segmenter, segmenter_losses, train_segmenter
from spinelift.learn.segmenter.unet import Segmenter
from spinelift.segment.postprocess import soft_peak


def dots() -> ScanBatch:
    """Two bright dots, at the ends."""
    ends = torch.tensor([[[200.0, 160.0], [420.0, 150.0]]]).expand(6, 2, 2)
    image = 255 * heat_maps(ends, (832, 320), 2.0).amax(1, keepdim=True)
    return ScanBatch(image, image / 255, ends)


def test_ends_follow_the_pixels():
    off = dict.fromkeys(
        ("gamma", "contrast", "brightness", "curve", "field", "blur", "noise", "patches", "cut"), 0.0
    )
    got = augment_scans(dots(), ScanAugment(**off), Random("cpu", 1))
    for k in range(6):
        first = got.image[k, 0].clone()
        row = int((got.ends[k, 0, 0] + got.ends[k, 1, 0]) / 2)
        first[row:] = 0
        place_0, _ = soft_peak(first.numpy())
        place_1, _ = soft_peak((got.image[k, 0] - first).numpy())
        np.testing.assert_allclose([place_0, place_1], got.ends[k].numpy(), atol=0.15)
    assert (got.ends - dots().ends).abs().max() > 5


def test_windows_show_the_spine_and_its_ends_where_they_were():
    batch = dots()
    far = batch._replace(image=batch.image + 1, ends=batch.ends + torch.tensor([600.0, 200.0]))
    config = WindowConfig(shape=(288, 112), shift_px=5)
    got = windows(batch, config, Random("cpu", 3))
    assert got.image.shape == got.mask.shape == (6, 1, 288, 112)
    for k in range(6):
        first = batch.ends[k, 0] - got.ends[k, 0]
        assert (first == first.round()).all()
        r, c = (int(v) for v in first)
        torch.testing.assert_close(got.image[k], batch.image[k, :, r : r + 288, c : c + 112])
        middle = got.ends[k].mean(0)
        assert (middle - torch.tensor([144.0, 56.0])).abs().max() <= 5.5
    edge = windows(far, config, Random("cpu", 3))  # as near as the image allows
    assert (edge.image > 0).all()


def test_windows_keep_the_statistics_of_whole_images(tmp_path):
    scans = make_scans(tmp_path / "scans.zarr", 6, 1)
    others = make_scans(tmp_path / "others.zarr", 6, 1, first_eid=100)
    config = SegmenterConfig.load("segmenter_smoke.yaml")
    train_segmenter(config, data=[scans], validation=others, out=tmp_path / "first")
    before = load_segmenter(tmp_path / "first")[0].state_dict()
    weights = str(tmp_path / "first" / "weights.safetensors")
    config = config.model_copy(update={"window": WindowConfig(whole=0.3), "init_from": weights})
    train_segmenter(config, data=[scans], validation=others, out=tmp_path / "second")
    after = load_segmenter(tmp_path / "second")[0].state_dict()
    for name, value in before.items():
        fixed = "running" in name or "num_batches" in name
        assert torch.equal(after[name], value) == fixed, name


def test_windows_want_a_trained_network(tmp_path):
    scans = make_scans(tmp_path / "scans.zarr", 6, 1)
    others = make_scans(tmp_path / "others.zarr", 6, 1, first_eid=100)
    config = SegmenterConfig.load("segmenter_smoke.yaml").model_copy(update={"window": WindowConfig()})
    with pytest.raises(ConfigError, match="--init-from"):
        train_segmenter(config, data=[scans], validation=others, out=tmp_path / "run")


@pytest.mark.parametrize("shape", [(280, 112), (848, 112)])
def test_windows_of_broken_cells_or_larger_than_the_canvas_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 16"):
        WindowConfig(shape=shape)


def test_standing_still_changes_nothing():
    batch = dots()
    got = place(batch, torch.eye(2).expand(6, 2, 2), torch.zeros(6, 2))
    torch.testing.assert_close(got.image, batch.image, atol=0.05, rtol=0)
    torch.testing.assert_close(got.ends, batch.ends)


def test_augmentation_stays_in_range():
    got = augment_scans(dots(), ScanAugment(), Random("cpu", 2))
    assert got.image.shape == (6, 1, 832, 320)
    assert 0 <= got.image.min() <= got.image.max() <= 255


def test_the_loss_is_lowest_at_the_truth():
    config = SegmenterLossConfig()
    mask = torch.zeros(1, 1, 64, 32)
    mask[:, :, 20:40, 10:20] = 1
    ends = torch.tensor([[[20.0, 15.0], [39.0, 15.0]]])
    right = torch.cat([mask, heat_maps(ends, (64, 32), config.sigma_px)], 1)
    moved = right.roll(3, 2)
    losses = [
        segmenter_losses(torch.logit(p, eps=1e-4), mask, ends, config)
        for p in (right, moved, right * 0 + 0.01)
    ]
    for part in ("loss", "dice", "bce", "heat"):
        assert losses[0][part] < losses[1][part]
        assert losses[0][part] < losses[2][part]
    assert losses[0]["heat"] == pytest.approx(0, abs=0.1)


def test_untrained_maps_are_empty_probabilities():
    model = Segmenter(UnetConfig(channels=(4, 8, 8), residual_units=0)).eval()
    with torch.inference_mode():
        maps = model(torch.rand(1, 1, 832, 320) * 255)
        blank = model(torch.zeros(1, 1, 832, 320))
    assert maps.shape == (1, 3, 832, 320)
    assert blank.isfinite().all()
    assert maps[:, 1:].mean() < 0.1


def test_it_learns_a_bar_and_resumes(tmp_path):
    scans = make_scans(tmp_path / "scans.zarr", 6, 1)
    others = make_scans(tmp_path / "others.zarr", 6, 1, first_eid=100)
    config = SegmenterConfig.load("segmenter_smoke.yaml")
    first = train_segmenter(config, data=[scans], validation=others, out=tmp_path / "run")
    longer = config.model_copy(update={"loop": config.loop.model_copy(update={"steps": 28})})
    second = train_segmenter(longer, data=[scans], validation=others, out=tmp_path / "run", resume=True)
    assert (first.steps, second.steps) == (6, 28)
    assert second.validation["dice"] > 0.2 + first.validation["dice"]
    model, _ = load_segmenter(tmp_path / "run")
    assert not model.training
