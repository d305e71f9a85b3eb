"""Training of the segmenter from scan stores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spinelift.errors import ConfigError
from spinelift.geometry.canonical import CANONICAL_MM
from spinelift.learn.loop.checkpoint import WEIGHTS, load_weights
from spinelift.learn.loop.loop import Outcome, fit
from spinelift.learn.loop.run import finish_run, read_run_config, start_run
from spinelift.learn.segmenter.augment import ScanBatch, augment_scans, windows
from spinelift.learn.segmenter.config import SegmenterConfig
from spinelift.learn.segmenter.loss import segmenter_losses
from spinelift.learn.segmenter.unet import Segmenter
from spinelift.segment.postprocess import soft_peak
from spinelift.store.rows import Scans, load_scans


class SegmenterTask:
    """Scans in memory, augmented as they are asked for.

    ``rows`` are the scans of ``train`` that make an epoch, as often as they are named; all, once, by default.
    """

    def __init__(
        self,
        config: SegmenterConfig,
        train: Scans,
        validation: Scans,
        model: Segmenter,
        rows: NDArray[np.intp] | None = None,
    ) -> None:
        self.config, self.train, self.validation, self._model = config, train, validation, model
        self.rows = np.arange(len(train)) if rows is None else rows

    @property
    def model(self) -> Segmenter:
        """The network."""
        return self._model

    def __len__(self) -> int:
        return len(self.rows)

    def losses(self, index: Tensor, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Losses of augmented scans ``index`` [B]."""
        rows = self.rows[index.numpy()]
        batch = ScanBatch(
            torch.from_numpy(self.train.image[rows]).float()[:, None],
            torch.from_numpy(self.train.mask[rows]).float()[:, None],
            torch.from_numpy(self.train.ends[rows]),
        )
        batch = augment_scans(batch, self.config.augment, generator)
        batch = batch._replace(image=self._model.inputs(batch.image))
        window = self.config.window
        if window is not None and float(torch.rand((), generator=generator)) >= window.whole:
            batch = windows(batch, window, generator)
        return segmenter_losses(self._model.logits(batch.image), batch.mask, batch.ends, self.config.loss)

    @torch.inference_mode()
    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Dice of the mask, distance of the ends (mm: median, 95th percentile), share with a clear peak."""
        model.eval()
        dice, distance, peaks = [], [], []
        for k in range(min(limit, len(self.validation))):
            image = torch.from_numpy(self.validation.image[k : k + 1]).float()[:, None]
            maps = model(image)[0].numpy()
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


def train_segmenter(
    config: SegmenterConfig,
    *,
    data: Sequence[Path],
    validation: Path,
    out: Path,
    resume: bool = False,
) -> Outcome:
    """Train, or go on training; ``out`` then holds config, weights, checkpoint, log, picture and record."""
    train, held_out = load_scans(data), load_scans([validation], limit=config.loop.validate_limit)
    return fit_segmenter(config, train, held_out, data=data, out=out, resume=resume)


def fit_segmenter(
    config: SegmenterConfig,
    train: Scans,
    held_out: Scans,
    *,
    data: Sequence[Path],
    out: Path,
    resume: bool = False,
    rows: NDArray[np.intp] | None = None,
) -> Outcome:
    """Train on scans in memory; ``data`` names where they come from, ``rows`` as of ``SegmenterTask``."""
    examples = len(train) if rows is None else len(rows)
    start_run(config, config.loop, out, resume=resume, train=examples, validation=len(held_out))
    torch.manual_seed(config.loop.seed)
    model = Segmenter(config.network, fixed_norms=config.window is not None)
    if config.init_from is not None and not resume:
        load_weights(model, Path(config.init_from))
    elif config.window is not None and not resume:
        raise ConfigError(
            found="windows, and no weights to go on from",
            expected="a trained network, whose batch norm keeps the statistics of whole images",
            do="Give --init-from, or train on whole images first (segmenter.yaml).",
        )
    model = model.to(memory_format=torch.channels_last)
    task = SegmenterTask(config, train, held_out, model, rows)
    outcome = fit(task, optim=config.optim, loop=config.loop, out=out, resume=resume, title="segmenter")
    finish_run(
        out, outcome, data=data, people=len(np.unique(train.eid)), examples=examples, seed=config.loop.seed,
        init_from=config.init_from,
    )  # fmt: skip
    return outcome


def load_segmenter(run: Path) -> tuple[Segmenter, SegmenterConfig]:
    """Averaged weights of a run, ready to predict, and its configuration."""
    config = read_run_config(run, SegmenterConfig)
    model = Segmenter(config.network)
    load_weights(model, run / WEIGHTS)
    return model.eval(), config
