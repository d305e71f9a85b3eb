"""Training of the regressor from pair stores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from spinelift.bundle import PEOPLE
from spinelift.curves import CORONAL, SAGITTAL, Curve
from spinelift.files import write_whole
from spinelift.geometry import FIRST_SPINE_ROW, SPINE_ROWS
from spinelift.geometry.arrays import Float32, Integers, UInt8
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.train import load_run, train
from spinelift.learn.people import people_of_training
from spinelift.learn.regressor.augment import Batch, augment
from spinelift.learn.regressor.config import GuideConfig, LossConfig, PaperConfig, RegressorConfig, RowsConfig
from spinelift.learn.regressor.head import Prediction
from spinelift.learn.regressor.rows import FIRST_TOKEN, TOKEN_STRIDE, TOKENS, RowsRegressor
from spinelift.store.rows import Pairs, PairStore, load_pairs

SLOPE_ROWS = 8
"""Rows over which the slope of a centre curve is compared: about a vertebra."""


@dataclass(eq=False)
class RegressorTask:
    """Pairs in memory, augmented when they are read."""

    config: RegressorConfig
    train: Pairs
    validation: Pairs
    model: nn.Module

    def __len__(self) -> int:
        return len(self.train)

    def losses(self, index: Tensor, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Losses of augmented pairs ``index`` [B]."""
        batch = batch_of(self.train, index.numpy())
        batch = augment(batch, self.config.augment, generator, progress=progress)
        if not isinstance(self.model, RowsRegressor):
            return regressor_losses(self.model(batch.image), batch.curves, self.config.loss)
        centre = token_centres(batch.curves)
        guide = disturbed(centre, self.config.guide, generator)
        prediction, found = self.model.guided(batch.image, guide, self.config.guide.share)
        losses = regressor_losses(prediction, batch.curves, self.config.loss)
        locate = (found - centre).abs().mean()
        return losses | {"loss": losses["loss"] + self.config.loss.locate * locate, "locate": locate}

    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Mean absolute errors in mm on the first held-out pairs, not augmented."""
        n = min(limit, len(self.validation))
        curves, _, _ = predict_pairs(model, self.validation.image[:n])
        error = np.abs(curves - self.validation.curves[:n]) * self.validation.mm_per_px[:n, None, None]
        parts = {"coronal_mae_mm": CORONAL, "sagittal_mae_mm": SAGITTAL}
        return {
            "mae_mm": float(error.mean()),
            **{k: float(error[:, part].mean()) for k, part in parts.items()},
        }


def regressor_losses(prediction: Prediction, curves: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """L1 (paper, 3.2) + Laplace negative log likelihood log 2s + |e| / s + squared second difference + slope.

    ``curves`` [B, 6, 209] crop px. ``loss`` is the weighted sum; the parts are unweighted.
    """
    error = (prediction.curves - curves).abs()
    weight = error.new_tensor([1.0] * 3 + [config.sagittal] * 3)[:, None]
    l1 = (error * weight / weight.mean()).mean()
    fixed = error.detach() if config.nll_detach else error
    nll = (torch.log(2 * prediction.scale) + fixed / prediction.scale).mean()
    centres = [Curve.CENTRE, Curve.SAGITTAL]
    change = prediction.curves[:, centres] - curves[:, centres]
    slope = (change[..., SLOPE_ROWS:] - change[..., :-SLOPE_ROWS]).abs().mean()
    smooth = prediction.curves.diff(n=2, dim=2).square().mean()
    loss = config.l1 * l1 + config.nll * nll + config.smooth * smooth + config.slope * slope
    return {"loss": loss, "l1": l1, "nll": nll, "smooth": smooth, "slope": slope}


def token_centres(curves: Tensor) -> Tensor:
    """Coronal centre [B, 56] of curves [B, 6, 209] at the rows of the tokens; constant beyond the ends."""
    rows = FIRST_TOKEN + TOKEN_STRIDE * torch.arange(TOKENS) - FIRST_SPINE_ROW
    return curves[:, Curve.CENTRE, rows.round().long().clamp(0, SPINE_ROWS - 1)]


def disturbed(centre: Tensor, config: GuideConfig, generator: torch.Generator) -> Tensor:
    """Centres [B, 56], px, with errors of the kind that the locator makes: shifted, tilted, wavy, noisy."""
    n = len(centre)
    rows = torch.linspace(-1, 1, TOKENS)
    shift, tilt, wave = torch.randn(3, n, 1, generator=generator).unbind()
    phase = 2 * torch.pi * torch.rand(n, 1, generator=generator)
    low, high = config.wave_cycles
    cycles = low + (high - low) * torch.rand(n, 1, generator=generator)
    waves = torch.sin(2 * torch.pi * rows * cycles + phase)
    noise = config.noise_px * torch.randn(centre.shape, generator=generator)
    moved = centre + config.shift_px * shift + config.tilt_px * tilt * rows
    return moved + config.wave_px * wave * waves + noise


def batch_of(pairs: Pairs, index: Integers | slice) -> Batch:
    """Rows of pairs as tensors."""
    return Batch(
        torch.from_numpy(pairs.image[index]).float()[:, None],
        torch.from_numpy(pairs.curves[index]),
        torch.from_numpy(pairs.mm_per_px[index]),
    )


@torch.inference_mode()
def predict_pairs(model: nn.Module, image: UInt8, *, batch: int = 64) -> tuple[Float32, Float32, Float32]:
    """Curves [n, 6, 209], scale [n, 6, 209] and features [n, D] for crops uint8 [n, 224, 224]."""
    model.eval()
    crops = (torch.from_numpy(image[i : i + batch]).float()[:, None] for i in range(0, len(image), batch))
    parts = [model(crop) for crop in crops]
    curves, scale, features = (torch.cat(p).numpy() for p in zip(*parts, strict=True))
    return curves, scale, features


def make_network(
    config: RowsConfig | PaperConfig, mean_curves: Tensor | None = None, *, load: bool = False
) -> nn.Module:
    """Network that returns a :class:`Prediction`; ``mean_curves`` [6, 209] are zero if weights follow.

    ``load`` fetches the pre-trained weights of the backbone, for a new training.
    """
    mean = torch.zeros(6, SPINE_ROWS) if mean_curves is None else mean_curves
    if isinstance(config, PaperConfig):
        from spinelift.learn.regressor.paper import PaperRegressor  # timm loads slowly

        return PaperRegressor(config, mean, load=load)
    return RowsRegressor(config, mean)


def train_regressor(
    config: RegressorConfig, *, data: Sequence[Path], validation: Path, out: Path, resume: bool = False
) -> Outcome:
    """Train, or resume; ``out`` then holds config, weights, checkpoint, log, picture and record."""
    pairs, held_out = load_pairs(data), load_pairs([validation], limit=config.loop.validate_limit)
    seen = people_of_training(pairs.eid, PairStore.open(validation).read("eid"), config.init_from)
    mean = torch.from_numpy(pairs.curves.mean(0))

    def make_model() -> nn.Module:
        return make_network(config.network, mean, load=config.init_from is None and not resume)

    def make_task(model: nn.Module) -> RegressorTask:
        model.get_buffer("mean_curves").copy_(mean.reshape(6, -1))  # of these people, not of earlier ones
        if config.freeze_locator and isinstance(model, RowsRegressor):
            model.locate.requires_grad_(False)
        model = model.to(memory_format=torch.channels_last)  # a quarter faster on CPUs
        return RegressorTask(config, pairs, held_out, model)

    outcome = train(
        config, make_model, make_task, data=data, people=len(np.unique(pairs.eid)), examples=len(pairs),
        held_out=len(held_out), out=out, resume=resume, title="regressor",
    )  # fmt: skip
    write_whole(out / PEOPLE, seen)
    return outcome


def load_regressor(run: Path) -> tuple[nn.Module, RegressorConfig]:
    """Network of a run with its averaged weights, ready to predict, and its configuration."""
    return load_run(run, RegressorConfig, lambda config: make_network(config.network))
