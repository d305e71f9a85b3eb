"""Training of both networks of the MRI segmenter, and their export as ONNX with a card."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.bundle import MriSegmenterCard
from spinelift.bundle.kinds import MriWindow
from spinelift.learn.export.card import network_of, read_record, training_of, write_new_card
from spinelift.learn.export.onnx import export_onnx
from spinelift.learn.images import dice_loss
from spinelift.learn.loop.checkpoint import save_weights
from spinelift.learn.loop.examples import Examples
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.train import begin, train
from spinelift.learn.mri_segmenter.config import EndsConfig, MriAugment, MriNetworkConfig, MriSegmenterConfig
from spinelift.learn.mri_segmenter.data import MriPerson
from spinelift.learn.mri_segmenter.network import BRIGHTEST, EndsNetwork, SliceNetwork
from spinelift.learn.random import Random
from spinelift.segment.mri import BRIGHT, CHANNELS, WINDOW, triples
from spinelift.version import __version__

ENDS_WEIGHTS = "ends.safetensors"


@dataclass(eq=False)
class SliceTask:
    """Slices, augmented when they are read."""

    config: MriSegmenterConfig
    examples: "Slices"
    held_out: "Slices"
    model: SliceNetwork

    def batch(self, rows: tuple[Tensor, ...], random: Random, progress: float) -> tuple[Tensor, ...]:
        """Augmented triples, cross-sections and heights."""
        image, mask, share = _floats(*rows)
        return *augment_slices(image, mask, self.config.augment, random), share

    def losses(self, batch: tuple[Tensor, ...], random: Random) -> dict[str, Tensor]:
        """Cross-entropy and Dice of the cross-section, where it is known, and L1 of the height."""
        c, (image, mask, share) = self.config.loss, batch
        logits, features = (out.float() for out in self.model.logits(image))
        known = ((share > c.margin) & (share < 1 - c.margin)).float()
        bce = (F.binary_cross_entropy_with_logits(logits, mask, reduction="none").mean((1, 2)) * known).mean()
        inside = known[:, None, None]
        dice = dice_loss(torch.sigmoid(logits) * inside, mask * inside, above=0.0, below=1.0)
        height = (features[:, 0] - share.clamp(*c.height_range)).abs().mean()
        loss = c.bce * bce + c.dice * dice + c.height * height
        return {"loss": loss, "bce": bce, "dice": dice, "height": height}

    @torch.inference_mode()
    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Dice, and mean error of the height, on ``limit`` held-out slices."""
        model.eval()
        device, count = next(model.parameters()).device, len(self.held_out)
        chosen = torch.linspace(0, count - 1, min(limit, count)).long()
        both = total = 0.0
        error = []
        for part in torch.split(chosen, 64):
            image, mask, share = _floats(*(rows.to(device) for rows in self.held_out.take(part)))
            p, features = model(image)
            known = ((share > 0.0) & (share < 1.0))[:, None, None]
            a, b = (p >= 0.5) & known, (mask >= 0.5) & known
            both, total = both + float((a & b).sum()), total + float(a.sum() + b.sum())
            error.append((features[:, 0] - share.clamp(*self.config.loss.height_range)).abs())
        return {"dice": 2 * both / max(total, 1.0), "height": float(torch.cat(error).mean())}


class Slices(Examples):
    """Slices between two heights, shares of T1 to L5, of all people, with their neighbours.

    A row is a triple uint8 [6, 96, 96] as of :func:`spinelift.segment.mri.triples`, its cross-section uint8
    [96, 96] and its height [].
    """

    def __init__(self, people: Sequence[MriPerson], heights: tuple[float, float]) -> None:
        pixels = np.concatenate([p.pixels.swapaxes(0, 1) for p in people])
        share = np.concatenate([p.share for p in people]).astype(np.float32)
        size = [len(p.mask) for p in people]
        first = np.repeat(np.cumsum([0, *size[:-1]]), size)
        near = np.arange(len(share))[:, None] + [-1, 0, 1]
        near = near.clip(first[:, None], (first + np.repeat(size, size) - 1)[:, None])
        rows = np.flatnonzero((share > heights[0]) & (share < heights[1]))
        mask = np.concatenate([p.mask for p in people])
        super().__init__(pixels, mask, share, near, people=len(people), rows=rows)

    def gather(self, rows: Tensor) -> list[Tensor]:
        """Triples, cross-sections and heights."""
        pixels, mask, share, near = self._arrays
        return [pixels[near[rows]].transpose(1, 2).flatten(1, 2), mask[rows], share[rows]]


def _floats(image: Tensor, mask: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the network sees [B, 6, 96, 96], cross-sections [B, 96, 96], 0..1, and heights [B]."""
    return image.float() / BRIGHT, mask.float() / 255, share


def augment_slices(image: Tensor, mask: Tensor, config: MriAugment, random: Random) -> tuple[Tensor, Tensor]:
    """Rotate, scale and shift triples [B, 6, h, w] with their cross-sections [B, h, w]; change the greys."""
    n = len(image)

    def uniform(*shape: int) -> Tensor:
        return random.rand(*shape, low=-1.0, high=1.0)

    angle = torch.deg2rad(uniform(n) * config.rotation_deg)
    size = 1 + uniform(n) * config.scale
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    mirror = 1 - 2 * (random.rand(n) < config.mirror).float()
    shift = uniform(n, 2) * 2 * config.shift_px / WINDOW
    turn = torch.stack([cos * mirror, -sin, shift[:, 0], sin * mirror, cos, shift[:, 1]], 1)
    grid = F.affine_grid(turn.reshape(n, 2, 3), [n, 1, *image.shape[2:]], align_corners=False)
    image = F.grid_sample(image, grid, align_corners=False)
    mask = F.grid_sample(mask[:, None], grid, align_corners=False)[:, 0]
    gain = torch.exp(uniform(n, 2, 1, 1) * config.gain).expand(-1, 2, 3, 1).reshape(n, 6, 1, 1)
    field = F.interpolate(uniform(n, 1, 3, 3) * config.field, image.shape[2:], mode="bilinear")
    noise = random.randn(*image.shape) * config.noise * random.each(n)
    image = (image * gain * torch.exp(field) + noise).clamp(0.0, BRIGHTEST)
    first, middle, last = image.reshape(n, 2, 3, *image.shape[2:]).unbind(2)
    first = torch.where(random.each(n) < config.drop, middle, first)
    return torch.stack([first, middle, last], 2).flatten(1, 2), mask


@torch.inference_mode()
def slice_features(model: SliceNetwork, people: Sequence[MriPerson]) -> list[Tensor]:
    """Features [F, z] of every slice of every person."""
    model.eval()
    out = []
    for person in people:
        z = len(person.mask)
        parts = np.array_split(np.arange(z), z // 64 + 1)
        out.append(torch.cat([model(torch.from_numpy(triples(person.pixels, r)))[1] for r in parts]).T)
    return out


def train_ends(
    config: MriSegmenterConfig, features: list[Tensor], people: Sequence[MriPerson]
) -> EndsNetwork:
    """Train on the features [F, z] of each person, augmented by :func:`augment_features`."""
    ends = config.ends
    generator = torch.Generator().manual_seed(config.loop.seed)
    torch.manual_seed(config.loop.seed)
    model = EndsNetwork(config.network)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ends.rate, weight_decay=ends.weight_decay)
    spread = torch.cat(features, 1).std(1)[:, None]
    true = [torch.tensor(p.ends, dtype=torch.float32) for p in people]
    for step in range(ends.steps):
        for group in optimizer.param_groups:
            group["lr"] = ends.rate * 0.5 * (1 + np.cos(np.pi * step / ends.steps)) + ends.final_rate
        loss = torch.zeros(())
        for k in torch.randint(len(people), (ends.batch,), generator=generator).tolist():
            x, at = augment_features(features[k], true[k], spread, ends, generator)
            away = (torch.arange(x.shape[2]) - at[:, None]) / ends.sigma_slices
            target = torch.softmax(-0.5 * away**2, 1)
            loss = loss - (target * model.logits(x)[0].log_softmax(1)).sum(1).mean() / ends.batch
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), ends.clip_norm)
        optimizer.step()
    return model.eval()


def augment_features(
    features: Tensor, ends: Tensor, spread: Tensor, config: EndsConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Stretch features [F, z] along z, cut them at the top, add noise and an offset.

    ``ends`` are slices [2], ``spread`` the standard deviations [F, 1] of the features. Returns [1, F, z']
    and the ends in it.
    """
    stretch = 1 + config.stretch * float(torch.rand((), generator=generator) * 2 - 1)
    x = F.interpolate(features[None], scale_factor=stretch, mode="linear", align_corners=False)
    at = (ends + 0.5) * x.shape[2] / features.shape[1] - 0.5
    most = max(0, min(config.cut_slices, int(at[0]) - config.kept_slices))
    first = int(torch.randint(0, 1 + most, (1,), generator=generator))
    x, at = x[:, :, first:], at - first
    x = x + torch.randn(x.shape, generator=generator) * spread * config.noise
    return x + torch.randn((1, x.shape[1], 1), generator=generator) * spread * config.offset, at


def export_mri_segmenter(
    slices: SliceNetwork, ends: EndsNetwork, config: MriNetworkConfig, run: Path, *, labels: str
) -> MriSegmenterCard:
    """Write both networks and their card into the folder of their run; ``labels`` as for training."""
    limits = [f"Trained on {labels}; never tested on another scanner or protocol. Research use."]
    signatures = MriWindow().signatures()
    windows, features = torch.rand(2, CHANNELS, WINDOW, WINDOW), torch.rand(1, config.features, 400)
    export_onnx(slices, run / "slices.onnx", windows, signatures["slices"])
    export_onnx(ends, run / "ends.onnx", features, signatures["ends"], free=2)
    return write_new_card(
        MriSegmenterCard, run, [f"{name}.onnx" for name in signatures], name="mri_segmenter",
        version=__version__, training=training_of(read_record(run), labels=labels), limits=limits,
        networks={"slices": network_of(slices, config), "ends": network_of(ends, config)},
    )  # fmt: skip


def train_mri_segmenter(
    config: MriSegmenterConfig, *, people: list[MriPerson], held_out: list[MriPerson], source: Sequence[Path],
    labels: str, out: Path, resume: bool = False,
) -> Outcome:  # fmt: skip
    """Train both networks, or resume; ``out`` then holds a run's files, both ONNX files and their card.

    ``labels`` names for the card where the true columns come from.
    """
    run = begin(config, out, resume=resume)
    examples, others = Slices(people, config.heights), Slices(held_out, config.heights)
    outcome = train(
        run, lambda: SliceNetwork(config.network),
        lambda model: SliceTask(config, examples, others, model), examples=examples, held_out=len(others),
        data=[path.name for path in source], title="MRI segmenter",
    )  # fmt: skip
    network = outcome.model
    assert isinstance(network, SliceNetwork)
    ends = train_ends(config, slice_features(network, people), people)
    save_weights(ends.state_dict(), out / ENDS_WEIGHTS)
    export_mri_segmenter(network, ends, config.network, out, labels=labels)
    return outcome
