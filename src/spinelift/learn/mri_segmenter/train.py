"""Training of the MRI segmenter, its export, and its figures on unseen people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.learn.loop.checkpoint import save_weights
from spinelift.learn.loop.loop import Outcome, fit
from spinelift.learn.loop.run import finish_run, start_run
from spinelift.learn.mri_segmenter.config import MriAugment, MriSegmenterConfig
from spinelift.learn.mri_segmenter.data import MriPerson
from spinelift.learn.mri_segmenter.export import export_mri_segmenter
from spinelift.learn.mri_segmenter.network import EndsNetwork, SliceNetwork
from spinelift.segment.mri import WINDOW, triples

ENDS_WEIGHTS = "ends.safetensors"


class SliceTask:
    """Slices of all people, augmented as they are asked for."""

    def __init__(
        self,
        config: MriSegmenterConfig,
        train: list[MriPerson],
        held_out: list[MriPerson],
        model: SliceNetwork,
    ) -> None:
        self.config, self.train, self.held_out, self._model = config, train, held_out, model
        self._index = _slices(train)

    @property
    def model(self) -> SliceNetwork:
        """The network."""
        return self._model

    def __len__(self) -> int:
        return len(self._index)

    def losses(self, index: Tensor, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Cross-entropy and Dice of the cross-section, where it is known, and L1 of the height."""
        image, mask, share = _batch(self.train, self._index[index.numpy()])
        image, mask = augment_slices(image, mask, self.config.augment, generator)
        logits, features = self._model.logits(image)
        known = ((share > 0.004) & (share < 0.996)).float()
        bce = (F.binary_cross_entropy_with_logits(logits, mask, reduction="none").mean((1, 2)) * known).mean()
        p = torch.sigmoid(logits) * known[:, None, None]
        dice = 1 - 2 * (p * mask).sum() / ((p + mask * known[:, None, None]).sum() + 1.0)
        height = (features[:, 0] - share.clamp(-0.3, 1.3)).abs().mean()
        return {"loss": 5 * bce + dice + height, "bce": bce, "dice": dice, "height": height}

    @torch.inference_mode()
    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Dice and error of the height on ``limit`` held-out slices."""
        model.eval()
        index = _slices(self.held_out)
        chosen = index[np.linspace(0, len(index) - 1, min(limit, len(index))).astype(int)]
        both = total = 0.0
        error = []
        for k in range(0, len(chosen), 64):
            image, mask, share = _batch(self.held_out, chosen[k : k + 64])
            p, features = model(image)
            known = ((share > 0.0) & (share < 1.0))[:, None, None]
            a, b = (p >= 0.5) & known, (mask >= 0.5) & known
            both, total = both + float((a & b).sum()), total + float(a.sum() + b.sum())
            error.append((features[:, 0] - share.clamp(-0.3, 1.3)).abs())
        return {"dice": 2 * both / max(total, 1.0), "height": float(torch.cat(error).mean())}


def _slices(people: Sequence[MriPerson]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(person, slice) of what is worth seeing [n, 2]: from the neck to below the pelvis."""
    rows = [np.flatnonzero((p.share > -0.25) & (p.share < 1.35)) for p in people]
    return np.concatenate([np.stack([np.full(len(r), k), r], 1) for k, r in enumerate(rows)])


def _batch(
    people: Sequence[MriPerson], chosen: np.ndarray[Any, np.dtype[np.int64]]
) -> tuple[Tensor, Tensor, Tensor]:
    image = np.concatenate([triples(people[k].pixels, np.array([z])) for k, z in chosen])
    mask = np.stack([people[k].mask[z] for k, z in chosen]).astype(np.float32) / 255
    share = np.array([people[k].share[z] for k, z in chosen], np.float32)
    return torch.from_numpy(image), torch.from_numpy(mask), torch.from_numpy(share)


def augment_slices(
    image: Tensor, mask: Tensor, config: MriAugment, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Turn, scale and shift triples [B, 6, h, w] with their cross-sections [B, h, w]; change the greys."""
    n = len(image)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    angle = torch.deg2rad(uniform(n) * config.rotation_deg)
    size = 1 + uniform(n) * config.scale
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
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
    image = (image * gain * torch.exp(field) + noise).clamp(0.0, 2.5)
    lost = torch.rand(n, generator=generator) < config.drop
    image[lost, 0], image[lost, 3] = image[lost, 1], image[lost, 4]
    return image, mask


@torch.inference_mode()
def slice_features(model: SliceNetwork, people: Sequence[MriPerson]) -> list[Tensor]:
    """Features [F, z] of every slice of every person."""
    model.eval()
    out = []
    for person in people:
        rows = np.arange(len(person.mask))
        parts = [
            model(torch.from_numpy(triples(person.pixels, r)))[1]
            for r in np.array_split(rows, len(rows) // 64 + 1)
        ]
        out.append(torch.cat(parts).T)
    return out


def train_ends(
    config: MriSegmenterConfig, features: list[Tensor], people: Sequence[MriPerson]
) -> EndsNetwork:
    """Train the second network on the first one's features, stretched, cut and noisy."""
    generator = torch.Generator().manual_seed(config.loop.seed)
    torch.manual_seed(config.loop.seed)
    model = EndsNetwork(config.network)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    spread = torch.cat(features, 1).std(1)[:, None]
    ends = [torch.tensor(p.ends, dtype=torch.float32) for p in people]
    for step in range(config.ends_steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * 0.5 * (1 + np.cos(np.pi * step / config.ends_steps)) + 1e-5
        loss = torch.zeros(())
        for k in torch.randint(len(people), (8,), generator=generator).tolist():
            stretch = 1 + 0.12 * float(torch.rand((), generator=generator) * 2 - 1)
            x = F.interpolate(features[k][None], scale_factor=stretch, mode="linear", align_corners=False)
            at = (ends[k] + 0.5) * x.shape[2] / features[k].shape[1] - 0.5
            first = int(torch.randint(0, 1 + max(0, min(12, int(at[0]) - 4)), (1,), generator=generator))
            x, at = x[:, :, first:], at - first
            x = x + torch.randn(x.shape, generator=generator) * spread * 0.15
            x = x + torch.randn((1, x.shape[1], 1), generator=generator) * spread * 0.1
            target = torch.softmax(-0.5 * ((torch.arange(x.shape[2]) - at[:, None]) / 2.0) ** 2, 1)
            loss = loss - (target * model.logits(x)[0].log_softmax(1)).sum(1).mean() / 8
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def train_mri_segmenter(
    config: MriSegmenterConfig,
    *,
    people: list[MriPerson],
    held_out: list[MriPerson],
    source: Sequence[Path],
    out: Path,
    resume: bool = False,
) -> Outcome:
    """Train both networks, or go on; ``out`` then holds a run's files, both ONNX files and their card."""
    model = SliceNetwork(config.network)
    task = SliceTask(config, people, held_out, model)
    start_run(config, config.loop, out, resume=resume, train=len(task), validation=len(held_out))
    outcome = fit(task, optim=config.optim, loop=config.loop, out=out, resume=resume, title="MRI segmenter")
    finish_run(
        out,
        outcome,
        data=source,
        people=len(people),
        examples=len(task),
        seed=config.loop.seed,
        init_from=None,
    )
    network = outcome.model
    assert isinstance(network, SliceNetwork)
    ends = train_ends(config, slice_features(network, people), people)
    save_weights(ends.state_dict(), out / ENDS_WEIGHTS)
    export_mri_segmenter(network, ends, config.network, out)
    return outcome
