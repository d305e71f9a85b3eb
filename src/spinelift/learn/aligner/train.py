"""Training of the encoders of image-level registration, and their export."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.bundle import EncodersCard
from spinelift.bundle.kinds import Canvases
from spinelift.errors import ConfigError
from spinelift.geometry.arrays import Integers
from spinelift.learn.aligner.config import AlignAugment, AlignerConfig
from spinelift.learn.aligner.encoder import DXA_CHANNELS, MRI_CHANNELS, Aligner, info_nce
from spinelift.learn.aligner.pairs import ImagePairs, load_pairs
from spinelift.learn.export.card import network_of, read_record, training_of, write_new_card
from spinelift.learn.export.onnx import export_onnx
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.train import load_run, train
from spinelift.version import __version__


@dataclass(eq=False)
class AlignerTask:
    """Pairs in memory; within a batch every other person is a non-matching example."""

    config: AlignerConfig
    train: ImagePairs
    held_out: ImagePairs
    model: Aligner

    def __len__(self) -> int:
        return len(self.train)

    def losses(self, index: Tensor, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """InfoNCE of the pairs ``index`` [B], and the share that is matched correctly."""
        dxa, mri = _tensors(self.train, index.numpy())
        scores = self.model(*augment_pairs(dxa, mri, self.config.augment, generator))
        return {"loss": info_nce(scores, self.config.temperature), "matched": _matched(scores)}

    @torch.inference_mode()
    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Of ``limit`` held-out pairs, the share whose own MRI scores highest, and their InfoNCE."""
        model.eval()
        rows = np.arange(min(limit, len(self.held_out)))
        scores: Tensor = model(*_tensors(self.held_out, rows))
        loss = info_nce(scores, self.config.temperature)
        return {"info_nce": float(loss), "matched": float(_matched(scores))}


def _matched(scores: Tensor) -> Tensor:
    return (scores.argmax(1) == torch.arange(len(scores))).float().mean()


def _tensors(pairs: ImagePairs, rows: Integers) -> tuple[Tensor, Tensor]:
    dxa = torch.from_numpy(pairs.dxa[rows]).float()[:, None] / 255
    return dxa, torch.from_numpy(pairs.mri[rows]).float() / 255


def augment_pairs(
    dxa: Tensor, mri: Tensor, config: AlignAugment, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Rotate and shift the MRI [B, 2, h, w] and change the greys of both images; empty pixels stay empty."""
    count = len(mri)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    angle = torch.deg2rad(uniform(count) * config.rotation_deg)
    rows, cols = mri.shape[2:]
    shift = torch.stack([uniform(count) / cols, uniform(count) / rows], 1) * 2 * config.shift_px
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([cos, sin * rows / cols, shift[:, 0], -sin * cols / rows, cos, shift[:, 1]], 1)
    grid = F.affine_grid(turn.reshape(count, 2, 3), list(mri.shape), align_corners=False)
    mri = F.grid_sample(mri, grid, align_corners=False)
    flip = (torch.rand(count, generator=generator) < config.mirror)[:, None, None, None]
    out = []
    for image in (dxa, mri):
        image = torch.where(flip, image.flip(3), image)
        gamma = torch.exp(uniform(count, image.shape[1], 1, 1) * config.gamma)
        noise = torch.randn(image.shape, generator=generator) * config.noise
        changed = (image.clamp(min=1e-4) ** gamma + noise).clamp(1e-4, 1.0)
        out.append(torch.where(image > 0, changed, 0.0))
    return out[0], out[1]


def train_aligner(
    config: AlignerConfig, *, data: Sequence[Path], validation: Path, out: Path, resume: bool = False
) -> Outcome:
    """Train, or resume; ``out`` then holds the files of a run and the encoders as ONNX.

    ``data`` and ``validation`` are files of :func:`~spinelift.learn.aligner.pairs.save_pairs`, of different
    people.
    """
    pairs, held_out = load_pairs(data, config.canvas), load_pairs([validation], config.canvas)
    if config.loop.batch < 2:
        raise ConfigError(found="a batch of 1", expected="at least 2 pairs", do="Raise loop.batch.")
    outcome = train(
        config, lambda: Aligner(config.encoder), lambda model: AlignerTask(config, pairs, held_out, model),
        data=data, people=len(pairs), examples=len(pairs), held_out=len(held_out), out=out, resume=resume,
        title="aligner",
    )  # fmt: skip
    export_aligner(out)
    return outcome


def load_aligner(run: Path) -> tuple[Aligner, AlignerConfig]:
    """Encoders of a run with their averaged weights, ready to use, and the run's configuration."""
    return load_run(run, AlignerConfig, lambda config: Aligner(config.encoder))


def export_aligner(run: Path) -> None:
    """Write both encoders of a run as ONNX, checked against torch, and their card into its folder."""
    model, config = load_aligner(run)
    canvas = config.canvas
    canvases = Canvases(pixel_mm=canvas.pixel_mm, dxa_shape=canvas.dxa, mri_shape=canvas.mri)
    encoders = {"dxa": model.dxa, "mri": model.mri}
    shapes = {"dxa": (DXA_CHANNELS, *canvas.dxa), "mri": (MRI_CHANNELS, *canvas.mri)}
    for name, signature in canvases.signatures().items():
        example = torch.rand(2, *shapes[name], generator=torch.Generator().manual_seed(0))
        export_onnx(encoders[name], run / f"{name}.onnx", example, signature)
    write_new_card(
        EncodersCard, run, [f"{name}.onnx" for name in encoders], name="encoders", version=__version__,
        preprocessing=canvases, training=training_of(read_record(run)),
        networks={name: network_of(encoder, config.encoder) for name, encoder in encoders.items()},
    )  # fmt: skip
