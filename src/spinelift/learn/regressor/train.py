"""Training of the regressor from pair stores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from spinelift.curves import CORONAL, SAGITTAL, Curve
from spinelift.geometry import FIRST_SPINE_ROW, SPINE_ROWS
from spinelift.learn.loop.checkpoint import WEIGHTS, load_weights
from spinelift.learn.loop.loop import Outcome, fit
from spinelift.learn.loop.run import finish_run, read_run_config, start_run
from spinelift.learn.regressor.augment import Batch, augment
from spinelift.learn.regressor.config import RegressorConfig
from spinelift.learn.regressor.loss import regressor_losses
from spinelift.learn.regressor.network import make_network
from spinelift.learn.regressor.rows import FIRST_TOKEN, TOKEN_STRIDE, TOKENS, RowsRegressor
from spinelift.store.rows import Pairs, load_pairs


class RegressorTask:
    """Pairs in memory, augmented as they are asked for."""

    def __init__(self, config: RegressorConfig, train: Pairs, validation: Pairs, model: nn.Module) -> None:
        self.config, self.train, self.validation, self._model = config, train, validation, model

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self._model

    def __len__(self) -> int:
        return len(self.train)

    def losses(self, index: Tensor, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Losses of augmented pairs ``index`` [B]."""
        batch = augment(
            batch_of(self.train, index.numpy()), self.config.augment, generator, progress=progress
        )
        if not isinstance(self._model, RowsRegressor):
            return regressor_losses(self._model(batch.image), batch.curves, self.config.loss)
        centre = token_centres(batch.curves)
        prediction, found = self._model.guided(batch.image, shaken(centre, generator))
        losses = regressor_losses(prediction, batch.curves, self.config.loss)
        locate = (found - centre).abs().mean()
        return losses | {"loss": losses["loss"] + self.config.loss.locate * locate, "locate": locate}

    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Mean absolute errors in mm on the first held-out pairs, as they are."""
        n = min(limit, len(self.validation))
        curves, _, _ = predict_pairs(model, self.validation.image[:n])
        error = np.abs(curves - self.validation.curves[:n]) * self.validation.mm_per_px[:n, None, None]
        return {
            "coronal_mm": float(error[:, CORONAL].mean()),
            "sagittal_mm": float(error[:, SAGITTAL].mean()),
        }


def token_centres(curves: Tensor) -> Tensor:
    """Coronal centre [B, 56] of curves [B, 6, 209] at the rows of the tokens; constant beyond the ends."""
    rows = FIRST_TOKEN + TOKEN_STRIDE * torch.arange(TOKENS) - FIRST_SPINE_ROW
    return curves[:, Curve.CENTRE, rows.round().long().clamp(0, SPINE_ROWS - 1)]


def shaken(centre: Tensor, generator: torch.Generator) -> Tensor:
    """Centres [B, 56] with the kind of errors that a locator makes: shifted, tilted, wavy, in px."""
    n = len(centre)
    rows = torch.linspace(-1, 1, TOKENS)
    parts = 2.0 * torch.randn(3, n, 1, generator=generator)
    phase = 2 * torch.pi * torch.rand(n, 1, generator=generator)
    wave = torch.sin(torch.pi * rows * (1 + 4 * torch.rand(n, 1, generator=generator)) + phase)
    noise = 0.4 * torch.randn(centre.shape, generator=generator)
    return centre + parts[0] + 0.7 * parts[1] * rows + 0.7 * parts[2] * wave + noise


def batch_of(pairs: Pairs, index: np.ndarray) -> Batch:
    """Rows of pairs as tensors."""
    return Batch(
        torch.from_numpy(pairs.image[index]).float()[:, None],
        torch.from_numpy(pairs.curves[index]),
        torch.from_numpy(pairs.mm_per_px[index]),
    )


@torch.inference_mode()
def predict_pairs(
    model: nn.Module, image: np.ndarray, *, batch: int = 64
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Curves [n, 6, 209], scale [n, 6, 209] and features [n, D] for crops uint8 [n, 224, 224]."""
    model.eval()
    parts = [
        model(torch.from_numpy(image[i : i + batch]).float()[:, None]) for i in range(0, len(image), batch)
    ]
    curves, scale, features = (torch.cat(p).numpy() for p in zip(*parts, strict=True))
    return curves, scale, features


def train_regressor(
    config: RegressorConfig,
    *,
    data: Sequence[Path],
    validation: Path,
    out: Path,
    resume: bool = False,
) -> Outcome:
    """Train, or go on training; ``out`` then holds config, weights, checkpoint, log, picture and record."""
    train, held_out = load_pairs(data), load_pairs([validation], limit=config.loop.validate_limit)
    start_run(config, config.loop, out, resume=resume, train=len(train), validation=len(held_out))
    torch.manual_seed(config.loop.seed)
    mean = torch.from_numpy(train.curves.mean(0))
    model = make_network(config.network, mean, load=config.init_from is None and not resume)
    if config.init_from is not None and not resume:
        load_weights(model, Path(config.init_from))
        model.get_buffer("mean_curves").copy_(mean.reshape(6, -1))  # of these people, not of earlier ones
    if config.freeze_locator and isinstance(model, RowsRegressor):
        model.locate.requires_grad_(False)
    model = model.to(memory_format=torch.channels_last)  # a quarter faster on CPUs
    task = RegressorTask(config, train, held_out, model)
    outcome = fit(task, optim=config.optim, loop=config.loop, out=out, resume=resume, title="regressor")
    finish_run(
        out, outcome, data=data, people=len(np.unique(train.eid)), examples=len(train), seed=config.loop.seed,
        init_from=config.init_from,
    )  # fmt: skip
    return outcome


def load_regressor(run: Path) -> tuple[nn.Module, RegressorConfig]:
    """Averaged weights of a run, ready to predict, and its configuration."""
    config = read_run_config(run, RegressorConfig)
    model = make_network(config.network)
    load_weights(model, run / WEIGHTS)
    return model.eval(), config
