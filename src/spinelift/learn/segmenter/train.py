"""Training of the segmenter from scan stores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from spinelift.bundle import PEOPLE
from spinelift.errors import ConfigError
from spinelift.files import write_whole
from spinelift.geometry.canonical import CANONICAL_MM
from spinelift.learn.images import dice_loss
from spinelift.learn.loop.examples import Examples
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.train import Run, begin, load_run, train
from spinelift.learn.people import donors_of_training, people_of_training
from spinelift.learn.random import Random
from spinelift.learn.segmenter.augment import ScanBatch, augment_scans, windows
from spinelift.learn.segmenter.config import SegmenterConfig, SegmenterLossConfig
from spinelift.learn.segmenter.unet import Segmenter
from spinelift.segment.postprocess import soft_peak
from spinelift.store.memory import Scans
from spinelift.store.rows import ScanStore, load_scans


@dataclass(eq=False)
class SegmenterTask:
    """Scans, augmented when they are read; ``validation`` are held-out ones."""

    config: SegmenterConfig
    examples: Examples
    validation: Scans
    model: Segmenter

    def batch(self, rows: tuple[Tensor, ...], random: Random, progress: float) -> ScanBatch:
        """Augmented scans, or windows of them, as the network sees them."""
        image, mask, ends = rows
        batch = ScanBatch(image.float()[:, None], mask.float()[:, None], ends)
        batch = augment_scans(batch, self.config.augment, random)
        batch = batch._replace(image=self.model.inputs(batch.image))
        window = self.config.window
        if window is not None and random.host.random() >= window.whole:
            batch = windows(batch, window, random)
        return batch

    def losses(self, batch: tuple[Tensor, ...], random: Random) -> dict[str, Tensor]:
        """Losses of augmented scans."""
        image, mask, ends = batch
        return segmenter_losses(self.model.logits(image).float(), mask, ends, self.config.loss)

    @torch.inference_mode()
    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Dice of the mask, error of the ends (mm: median, 95th percentile), share of clear peaks."""
        model.eval()
        device = next(model.parameters()).device
        dice, distance, peaks = [], [], []
        for k in range(min(limit, len(self.validation))):
            image = torch.from_numpy(self.validation.image[k : k + 1]).to(device).float()[:, None]
            maps = model(image)[0].cpu().numpy()
            inside, true = maps[0] >= 0.5, self.validation.mask[k] > 0
            dice.append(2 * np.count_nonzero(inside & true) / max(inside.sum() + true.sum(), 1))
            for channel in (1, 2):
                place, peak = soft_peak(maps[channel])
                distance.append(np.linalg.norm(place - self.validation.ends[k, channel - 1]) * CANONICAL_MM)
                peaks.append(peak)
        return {
            "dice": float(np.mean(dice)),
            "ends_median_mm": float(np.median(distance)),
            "ends_p95_mm": float(np.percentile(distance, 95)),
            "clear_peaks": float(np.mean(np.array(peaks) > 0.5)),
        }


def heat_maps(ends: Tensor, shape: tuple[int, int], sigma: float) -> Tensor:
    """Gaussians of peak 1 at the ends [B, 2, 2] (row, col): [B, 2, H, W]."""
    rows = torch.arange(shape[0], device=ends.device) - ends[..., 0, None]
    cols = torch.arange(shape[1], device=ends.device) - ends[..., 1, None]
    down = torch.exp(-0.5 * (rows / sigma) ** 2)
    across = torch.exp(-0.5 * (cols / sigma) ** 2)
    return down[..., :, None] * across[..., None, :]


def segmenter_losses(
    logits: Tensor, mask: Tensor, ends: Tensor, config: SegmenterLossConfig
) -> dict[str, Tensor]:
    """Dice and cross-entropy on the mask; cross-entropy, weighted near the ends, on the heat maps.

    Cross-entropy with a soft target is least where the probability equals the target, and unlike the squared
    error it has a gradient when the peak is missed.
    """
    dice = dice_loss(torch.sigmoid(logits[:, :1]), mask)
    bce = F.binary_cross_entropy_with_logits(logits[:, :1], mask)
    target = heat_maps(ends, (logits.shape[2], logits.shape[3]), config.sigma_px)
    weight = 1 + config.heat_weight * target
    entropy = -torch.special.xlogy(target, target) - torch.special.xlogy(1 - target, 1 - target)
    heat = F.binary_cross_entropy_with_logits(logits[:, 1:], target, reduction="none") - entropy
    # The sum over the map of an image in units of a Gaussian's area, not the mean over empty pixels.
    area = 2 * torch.pi * config.sigma_px**2
    ends_loss = (heat * weight).sum((2, 3)).mean() / (area * (1 + config.heat_weight / 2))
    loss = config.dice * dice + config.bce * bce + config.heat * ends_loss
    return {"loss": loss, "dice": dice, "bce": bce, "heat": ends_loss}


def train_segmenter(
    config: SegmenterConfig, *, data: Sequence[Path], validation: Path, out: Path, resume: bool = False
) -> Outcome:
    """Train, or resume; ``out`` then holds config, weights, checkpoint, log, picture and record."""
    run = begin(_checked(config, resume=resume), out, resume=resume, several=True)
    scans, held_out = load_scans(data), load_scans([validation], limit=config.loop.validate_limit)
    seen = people_of_training(scans.eid, ScanStore.open(validation).read("eid"), run.config.init_from)
    donors = donors_of_training(map(ScanStore.open, data), run.config.init_from)
    outcome = _train(run, scans, held_out, names=[path.name for path in data], donors=donors)
    if outcome.main:
        write_whole(out / PEOPLE, seen)
    return outcome


def fit_segmenter(
    config: SegmenterConfig, scans: Scans, held_out: Scans, *, out: Path, resume: bool = False,
    rows: NDArray[np.intp] | None = None,
) -> Outcome:  # fmt: skip
    """Train on scans in memory; ``rows`` make an epoch, where a scan may be named several times."""
    return _train(begin(_checked(config, resume=resume), out, resume=resume), scans, held_out, rows=rows)


def _checked(config: SegmenterConfig, *, resume: bool) -> SegmenterConfig:
    if config.window is not None and config.init_from is None and not resume:
        raise ConfigError(
            found="a window, and no weights to start from",
            expected="a trained network, whose batch norm keeps the statistics of whole images",
            do="Give --init-from, or train on whole images first (segmenter.yaml).",
        )
    return config


def _train(
    run: Run[SegmenterConfig], scans: Scans, held_out: Scans, *, names: Sequence[str] = (),
    donors: Sequence[str] = (), rows: NDArray[np.intp] | None = None,
) -> Outcome:  # fmt: skip
    config, people = run.config, len(np.unique(scans.eid))
    examples = Examples(scans.image, scans.mask, scans.ends, people=people, rows=rows)
    return train(
        run, lambda: Segmenter(config.network, fixed_norms=config.window is not None),
        lambda model: SegmenterTask(config, examples, held_out, model.to(memory_format=torch.channels_last)),
        examples=examples, held_out=len(held_out), data=names, title="segmenter",
        donors=donors,
    )  # fmt: skip


def load_segmenter(run: Path) -> tuple[Segmenter, SegmenterConfig]:
    """Network of a run with its averaged weights, ready to predict, and its configuration."""
    return load_run(run, SegmenterConfig, lambda config: Segmenter(config.network))
