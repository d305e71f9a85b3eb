"""Training of the MRI segmenter, and its export."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses.dice import DiceLoss
from numpy.typing import NDArray
from torch import Tensor, nn

from spinelift.learn.loop.checkpoint import save_weights
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.train import train
from spinelift.learn.mri_segmenter.config import MriAugment, MriSegmenterConfig
from spinelift.learn.mri_segmenter.data import MriPerson
from spinelift.learn.mri_segmenter.ends import slice_features, train_ends
from spinelift.learn.mri_segmenter.export import export_mri_segmenter
from spinelift.learn.mri_segmenter.network import BRIGHTEST, SliceNetwork
from spinelift.segment.mri import WINDOW, triples

ENDS_WEIGHTS = "ends.safetensors"
DICE = DiceLoss(batch=True, smooth_nr=0.0, smooth_dr=1.0)


@dataclass(eq=False)
class SliceTask:
    """Slices ``index`` [n, 2] (person, slice), augmented when they are read."""

    config: MriSegmenterConfig
    train: list[MriPerson]
    held_out: list[MriPerson]
    index: NDArray[np.int64]
    model: SliceNetwork

    def __len__(self) -> int:
        return len(self.index)

    def losses(self, index: Tensor, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Cross-entropy and Dice of the cross-section, where it is known, and L1 of the height."""
        c = self.config.loss
        image, mask, share = _batch(self.train, self.index[index.numpy()])
        image, mask = augment_slices(image, mask, self.config.augment, generator)
        logits, features = self.model.logits(image)
        known = ((share > c.margin) & (share < 1 - c.margin)).float()
        bce = (F.binary_cross_entropy_with_logits(logits, mask, reduction="none").mean((1, 2)) * known).mean()
        inside = known[:, None, None, None]
        dice = DICE(torch.sigmoid(logits)[:, None] * inside, mask[:, None] * inside)
        height = (features[:, 0] - share.clamp(*c.height_range)).abs().mean()
        loss = c.bce * bce + c.dice * dice + c.height * height
        return {"loss": loss, "bce": bce, "dice": dice, "height": height}

    @torch.inference_mode()
    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Dice, and mean error of the height, on ``limit`` held-out slices."""
        model.eval()
        index = _slices(self.held_out, self.config.heights)
        chosen = index[np.linspace(0, len(index) - 1, min(limit, len(index))).astype(int)]
        both = total = 0.0
        error = []
        for k in range(0, len(chosen), 64):
            image, mask, share = _batch(self.held_out, chosen[k : k + 64])
            p, features = model(image)
            known = ((share > 0.0) & (share < 1.0))[:, None, None]
            a, b = (p >= 0.5) & known, (mask >= 0.5) & known
            both, total = both + float((a & b).sum()), total + float(a.sum() + b.sum())
            error.append((features[:, 0] - share.clamp(*self.config.loss.height_range)).abs())
        return {"dice": 2 * both / max(total, 1.0), "height": float(torch.cat(error).mean())}


def _slices(people: Sequence[MriPerson], heights: tuple[float, float]) -> NDArray[np.int64]:
    """(person, slice) [n, 2] between two heights, shares of T1 to L5."""
    rows = [np.flatnonzero((p.share > heights[0]) & (p.share < heights[1])) for p in people]
    return np.concatenate([np.stack([np.full(len(r), k), r], 1) for k, r in enumerate(rows)])


def _batch(people: Sequence[MriPerson], chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    """Triples [B, 6, 96, 96], cross-sections [B, 96, 96], 0..1, and heights [B]."""
    image = np.concatenate([triples(people[k].pixels, np.array([z])) for k, z in chosen])
    mask = np.stack([people[k].mask[z] for k, z in chosen]).astype(np.float32) / 255
    share = np.array([people[k].share[z] for k, z in chosen], np.float32)
    return torch.from_numpy(image), torch.from_numpy(mask), torch.from_numpy(share)


def augment_slices(
    image: Tensor, mask: Tensor, config: MriAugment, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Rotate, scale and shift triples [B, 6, h, w] with their cross-sections [B, h, w]; change the greys."""
    n = len(image)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    angle = torch.deg2rad(uniform(n) * config.rotation_deg)
    size = 1 + uniform(n) * config.scale
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    mirror = torch.where(torch.rand(n, generator=generator) < config.mirror, -1.0, 1.0)
    shift = uniform(n, 2) * 2 * config.shift_px / WINDOW
    turn = torch.stack(
        [torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)],
        1,
    )
    grid = F.affine_grid(turn, [n, 1, *image.shape[2:]], align_corners=False)
    image = F.grid_sample(image, grid, align_corners=False)
    mask = F.grid_sample(mask[:, None], grid, align_corners=False)[:, 0]
    gain = torch.exp(uniform(n, 2, 1, 1) * config.gain).repeat_interleave(3, 1)
    field = F.interpolate(uniform(n, 1, 3, 3) * config.field, image.shape[2:], mode="bilinear")
    noise = (
        torch.randn(image.shape, generator=generator)
        * config.noise
        * torch.rand(n, 1, 1, 1, generator=generator)
    )
    image = (image * gain * torch.exp(field) + noise).clamp(0.0, BRIGHTEST)
    lost = torch.rand(n, generator=generator) < config.drop
    image[lost, 0], image[lost, 3] = image[lost, 1], image[lost, 4]
    return image, mask


def train_mri_segmenter(
    config: MriSegmenterConfig,
    *,
    people: list[MriPerson],
    held_out: list[MriPerson],
    source: Sequence[Path],
    out: Path,
    resume: bool = False,
) -> Outcome:
    """Train both networks, or resume; ``out`` then holds a run's files, both ONNX files and their card."""
    index = _slices(people, config.heights)
    outcome = train(
        config, lambda: SliceNetwork(config.network),
        lambda model: SliceTask(config, people, held_out, index, model), data=source, people=len(people),
        examples=len(index), held_out=len(held_out), out=out, resume=resume, title="MRI segmenter",
    )  # fmt: skip
    network = outcome.model
    assert isinstance(network, SliceNetwork)
    ends = train_ends(config, slice_features(network, people), people)
    save_weights(ends.state_dict(), out / ENDS_WEIGHTS)
    export_mri_segmenter(network, ends, config.network, out)
    return outcome
