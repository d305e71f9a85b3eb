import numpy as np
import pytest
import torch

from spinelift.segment.augment import ScanBatch, augment_scans, place
from spinelift.segment.config import ScanAugment, SegmenterConfig, SegmenterLossConfig, UnetConfig
from spinelift.segment.loss import heat_maps, segmenter_losses
from spinelift.segment.postprocess import soft_peak
from spinelift.segment.train import load_segmenter, train_segmenter
from spinelift.segment.unet import Segmenter
from store_cases import make_scans


def dots() -> ScanBatch:
    """Two bright dots, at the ends."""
    ends = torch.tensor([[[200.0, 160.0], [420.0, 150.0]]]).expand(6, 2, 2)
    image = 255 * heat_maps(ends, (832, 320), 2.0).amax(1, keepdim=True)
    return ScanBatch(image, image / 255, ends)


def test_ends_follow_the_pixels():
    off = dict.fromkeys(
        ("gamma", "contrast", "brightness", "curve", "field", "blur", "noise", "patches", "cut"), 0.0
    )
    got = augment_scans(dots(), ScanAugment(**off), torch.Generator().manual_seed(1))
    for k in range(6):
        first = got.image[k, 0].clone()
        row = int((got.ends[k, 0, 0] + got.ends[k, 1, 0]) / 2)
        first[row:] = 0
        place_0, _ = soft_peak(first.numpy())
        place_1, _ = soft_peak((got.image[k, 0] - first).numpy())
        np.testing.assert_allclose([place_0, place_1], got.ends[k].numpy(), atol=0.15)
    assert (got.ends - dots().ends).abs().max() > 5


def test_standing_still_changes_nothing():
    batch = dots()
    got = place(batch, torch.eye(2).expand(6, 2, 2), torch.zeros(6, 2))
    torch.testing.assert_close(got.image, batch.image, atol=0.05, rtol=0)
    torch.testing.assert_close(got.ends, batch.ends)


def test_augmentation_stays_in_range():
    got = augment_scans(dots(), ScanAugment(), torch.Generator().manual_seed(2))
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
    config = SegmenterConfig.load("segmenter_smoke.yaml")
    first = train_segmenter(config, data=[scans], validation=scans, out=tmp_path / "run")
    longer = config.model_copy(update={"loop": config.loop.model_copy(update={"steps": 28})})
    second = train_segmenter(longer, data=[scans], validation=scans, out=tmp_path / "run", resume=True)
    assert (first.steps, second.steps) == (6, 28)
    assert second.validation["dice"] > 0.2 + first.validation["dice"]
    model, _ = load_segmenter(tmp_path / "run")
    assert not model.training
