"""Training of the regressor from pair stores."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from spinelift.bundle import PEOPLE
from spinelift.curves import CORONAL, SAGITTAL, Curve
from spinelift.errors import ConfigError
from spinelift.evaluate.known_rows import fill_rows, level_difference
from spinelift.files import file_sha256, write_whole
from spinelift.geometry import FIRST_SPINE_ROW, SPINE_ROWS
from spinelift.geometry.arrays import Float32, Integers, UInt8
from spinelift.learn.loop.examples import Examples
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.train import begin, load_run, train
from spinelift.learn.people import donors_of_training, people_of_training
from spinelift.learn.random import Random
from spinelift.learn.regressor.augment import Batch, augment
from spinelift.learn.regressor.config import GuideConfig, LossConfig, PaperConfig, RegressorConfig, RowsConfig
from spinelift.learn.regressor.head import Prediction
from spinelift.learn.regressor.rows import FIRST_TOKEN, TOKEN_STRIDE, TOKENS, RowsRegressor
from spinelift.store.memory import Pairs
from spinelift.store.rows import PairStore, load_pairs

SLOPE_ROWS = 8
"""Rows over which the slope of a centre curve is compared: about a vertebra."""


@dataclass(eq=False)
class RegressorTask:
    """Pairs, augmented when they are read; ``validation`` are held-out ones."""

    config: RegressorConfig
    examples: Examples
    validation: Pairs
    model: nn.Module

    def batch(self, rows: tuple[Tensor, ...], random: Random, progress: float) -> Batch:
        """Augmented pairs."""
        image, curves, mm_per_px, valid = rows
        batch = Batch(image.float()[:, None], curves, mm_per_px, valid.float())
        return augment(batch, self.config.augment, random, progress=progress)

    def losses(self, batch: tuple[Tensor, ...], random: Random) -> dict[str, Tensor]:
        """Losses of augmented pairs."""
        image, curves, _, valid = batch
        if not isinstance(self.model, RowsRegressor):
            return regressor_losses(self.model(image), curves, self.config.loss, valid)
        centre = token_centres(curves)
        guide = disturbed(centre, self.config.guide, random)
        prediction, found, posterior = self.model.guided(image, guide, self.config.guide.share)
        losses = regressor_losses(prediction, curves, self.config.loss, valid)
        more = {"locate": ((found - centre).abs() * row_weight(at_tokens(valid))).mean()}
        loss = losses["loss"] + self.config.loss.locate * more["locate"]
        if posterior is not None:  # of the pairs whose curves are known as a whole
            weight = row_weight(valid.amin(1))
            more["posterior"] = (posterior.nll(self.model.coefficients(curves)) * weight).mean()
            loss = loss + self.config.loss.posterior * more["posterior"]
        return losses | {"loss": loss} | more

    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Mean absolute errors in mm over the known rows of the first held-out pairs, not augmented."""
        n = min(limit, len(self.validation))
        curves, _, _ = predict_pairs(model, self.validation.image[:n])
        held, valid = self.validation, self.validation.valid[:n]
        away = np.abs(level_difference(curves - held.curves[:n], valid)) * held.mm_per_px[:n, None, None]
        error = away.transpose(0, 2, 1)[valid]
        parts = {"coronal_mae_mm": CORONAL, "sagittal_mae_mm": SAGITTAL}
        return {
            "mae_mm": float(error.mean()),
            **{k: float(error[:, part].mean()) for k, part in parts.items()},
        }


def row_weight(valid: Tensor) -> Tensor:
    """Weights of the same shape, 0 where ``valid`` is 0; values times these have the mean of the others."""
    return valid / valid.mean().clamp(min=1e-6)


def regressor_losses(
    prediction: Prediction, curves: Tensor, config: LossConfig, valid: Tensor | None = None
) -> dict[str, Tensor]:
    """L1 (paper, 2.3) + Laplace negative log likelihood log 2s + |e| / s + squared second difference + slope.

    ``curves`` [B, 6, 209] crop px; ``valid`` [B, 209] is 1 for the rows that count, None for all. Sagittal
    curves are compared from the mean of the centre one over these. ``loss`` is the weighted sum; the parts
    are unweighted.
    """
    difference = prediction.curves - curves
    valid = torch.ones_like(curves[:, 0]) if valid is None else valid
    side = difference[:, Curve.SAGITTAL]
    zero = (side * valid).sum(1) / valid.sum(1).clamp(min=1) * (1 - valid.amin(1))
    difference = torch.cat([difference[:, CORONAL], difference[:, SAGITTAL] - zero[:, None, None]], 1)
    weight = row_weight(valid)[:, None]
    error = difference.abs() * weight
    l1 = (error[:, CORONAL].mean() + config.sagittal * error[:, SAGITTAL].mean()) / (1 + config.sagittal)
    fixed = error.detach() if config.nll_detach else error
    nll = (torch.log(2 * prediction.scale) * weight + fixed / prediction.scale).mean()
    change = difference[:, Curve.CENTRE :: Curve.SAGITTAL - Curve.CENTRE]
    both = row_weight(valid[:, SLOPE_ROWS:] * valid[:, :-SLOPE_ROWS])[:, None]
    slope = ((change[..., SLOPE_ROWS:] - change[..., :-SLOPE_ROWS]).abs() * both).mean()
    smooth = prediction.curves.diff(n=2, dim=2).square().mean()
    loss = config.l1 * l1 + config.nll * nll + config.smooth * smooth + config.slope * slope
    return {"loss": loss, "l1": l1, "nll": nll, "smooth": smooth, "slope": slope}


def token_centres(curves: Tensor) -> Tensor:
    """Coronal centre [B, 56] of curves [B, 6, 209] at the rows of the tokens; constant beyond the ends."""
    return at_tokens(curves[:, Curve.CENTRE])


def at_tokens(values: Tensor) -> Tensor:
    """Values [B, 209] of rows at the rows of the tokens [B, 56]; constant beyond the ends."""
    rows = FIRST_TOKEN + TOKEN_STRIDE * torch.arange(TOKENS, device=values.device) - FIRST_SPINE_ROW
    return values.index_select(1, rows.round().long().clamp(0, SPINE_ROWS - 1))


def disturbed(centre: Tensor, config: GuideConfig, random: Random) -> Tensor:
    """Centres [B, 56], px, with errors of the kind that the locator makes: shifted, tilted, wavy, noisy."""
    n = len(centre)
    rows = torch.linspace(-1, 1, TOKENS, device=centre.device)
    shift, tilt, wave = random.randn(3, n, 1).unbind()
    phase = random.rand(n, 1, high=2 * torch.pi)
    low, high = config.wave_cycles
    waves = torch.sin(2 * torch.pi * rows * random.rand(n, 1, low=low, high=high) + phase)
    moved = centre + config.shift_px * shift + config.tilt_px * tilt * rows
    return moved + config.wave_px * wave * waves + config.noise_px * random.randn(*centre.shape)


def batch_of(pairs: Pairs, index: Integers | slice) -> Batch:
    """Rows of pairs as tensors."""
    return Batch(
        torch.from_numpy(pairs.image[index]).float()[:, None],
        torch.from_numpy(pairs.curves[index]),
        torch.from_numpy(pairs.mm_per_px[index]),
        torch.from_numpy(pairs.valid[index]).float(),
    )


@torch.inference_mode()
def predict_pairs(model: nn.Module, image: UInt8, *, batch: int = 64) -> tuple[Float32, Float32, Float32]:
    """Curves [n, 6, 209], scale [n, 6, 209] and features [n, D] for crops uint8 [n, 224, 224]."""
    model.eval()
    device = next(model.parameters()).device
    crops = (torch.from_numpy(image[i : i + batch]).to(device) for i in range(0, len(image), batch))
    parts = [model(crop.float()[:, None]) for crop in crops]
    curves, scale, features = (torch.cat(p).cpu().numpy() for p in zip(*parts, strict=True))
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


def fit_prior(model: nn.Module, curves: Tensor) -> None:
    """Set the mean curves of a network, and the prior of its posterior head, from people [n, 6, 209] px."""
    mean = curves.mean(0)
    model.get_buffer("mean_curves").copy_(mean)
    if isinstance(model, RowsRegressor) and model.posterior is not None:
        model.posterior.fit(curves[:, Curve.SAGITTAL] - mean[Curve.SAGITTAL])


def train_regressor(
    config: RegressorConfig, *, data: Sequence[Path], validation: Path, out: Path, resume: bool = False
) -> Outcome:
    """Train, or resume; ``out`` then holds config, weights, checkpoint, log, picture and record.

    ``data`` are stores; without any, people are simulated as ``config.simulated`` says.
    """
    _check_source(config, data)
    pretrained = None if resume else weights_source(config.network)
    judges = PairStore.open(validation).read("eid")
    run = begin(config, out, resume=resume, several=config.simulated is None)
    with ExitStack() as stack:
        examples: Examples
        if config.simulated is None:
            pairs, names = load_pairs(data), [path.name for path in data]
            donors = donors_of_training(map(PairStore.open, data), run.config.init_from)
            people = len(np.unique(pairs.eid))
            examples = Examples(pairs.image, pairs.curves, pairs.mm_per_px, pairs.valid, people=people)
            curves: Float32 | None = fill_rows(pairs.curves, pairs.valid)
            people_of_training(pairs.eid, judges, run.config.init_from)
        else:
            from spinelift.learn.regressor.people import SimulatedPeople, of_seed  # loads numba

            people_of_training(of_seed(judges, config.simulated.seed), judges, run.config.init_from)

            made = stack.enter_context(SimulatedPeople(config.simulated))
            examples = made
            curves = None if resume else made.first_curves()
            names = [f"simulated people of seed {config.simulated.seed}"]
            own = set(config.simulated.donors.load().people)
            donors = sorted(own.union(donors_of_training([], run.config.init_from)))
        held_out = load_pairs([validation], limit=config.loop.validate_limit)

        def make_model() -> nn.Module:
            return make_network(config.network, load=config.init_from is None and not resume)

        def make_task(model: nn.Module) -> RegressorTask:
            if curves is not None:  # else those of the checkpoint
                fit_prior(model, torch.from_numpy(curves))
            if config.freeze_locator and isinstance(model, RowsRegressor):
                model.locate.requires_grad_(False)
            model = model.to(memory_format=torch.channels_last)  # a quarter faster on CPUs
            return RegressorTask(config, examples, held_out, model)

        outcome = train(
            run, make_model, make_task, examples=examples, held_out=len(held_out), data=names,
            title="regressor", pretrained=pretrained, donors=donors, new=("posterior.",),
        )  # fmt: skip
        if outcome.main:
            trained = pairs.eid if config.simulated is None else made.eid
            write_whole(out / PEOPLE, people_of_training(trained, judges, run.config.init_from))
        return outcome


def _check_source(config: RegressorConfig, data: Sequence[Path]) -> None:
    if bool(data) == (config.simulated is not None):
        found = "a store and simulated people" if data else "no people to train on"
        raise ConfigError(found=found, expected="one of them", do="Give --data or --simulate.")


def weights_source(config: RowsConfig | PaperConfig) -> str | None:
    """What a network starts from, in words; None for random weights.

    A :class:`ConfigError` says that the file of the weights is not there.
    """
    if not isinstance(config, PaperConfig) or not config.pretrained:
        return None
    if config.weights is None:
        return f"{config.backbone} from the Hugging Face hub"
    file = Path(config.weights)
    if not file.is_file():
        raise ConfigError(
            found=f"no file {file.name}", expected="weights that timm reads", do="Check --weights."
        )
    return f"{config.backbone} from {file.name}, SHA-256 {file_sha256(file)}"


def load_regressor(run: Path) -> tuple[nn.Module, RegressorConfig]:
    """Network of a run with its averaged weights, ready to predict, and its configuration."""
    return load_run(run, RegressorConfig, lambda config: make_network(config.network))
