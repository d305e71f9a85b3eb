"""Training of the encoders of image-level registration, and their export."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from spinelift.align.onnx import DXA_ONNX, MRI_ONNX, write_card
from spinelift.errors import BundleError, ConfigError
from spinelift.learn.aligner.config import AlignAugment, AlignerConfig
from spinelift.learn.aligner.encoder import DXA_CHANNELS, MRI_CHANNELS, Aligner, Encoder, info_nce
from spinelift.learn.aligner.pairs import ImagePairs, load_pairs
from spinelift.learn.export.onnx import save_onnx
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.run import RECORD
from spinelift.learn.loop.train import load_run, train

TOLERANCE = 1e-3
"""Largest difference of a feature between ONNX Runtime and torch."""


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
        right = (scores.argmax(1) == torch.arange(len(scores))).float().mean()
        return {"loss": info_nce(scores, self.config.temperature), "matched": right}

    @torch.inference_mode()
    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Of ``limit`` held-out pairs, the share whose own MRI scores highest, and their InfoNCE."""
        model.eval()
        rows = np.arange(min(limit, len(self.held_out)))
        scores: Tensor = model(*_tensors(self.held_out, rows))
        right = (scores.argmax(1) == torch.arange(len(scores))).float().mean()
        return {"info_nce": float(info_nce(scores, self.config.temperature)), "matched": float(right)}


def _tensors(pairs: ImagePairs, rows: NDArray[np.integer]) -> tuple[Tensor, Tensor]:
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
    turn = torch.stack(
        [torch.stack([cos, sin * rows / cols], 1), torch.stack([-sin * cols / rows, cos], 1)], 1
    )
    grid = F.affine_grid(torch.cat([turn, shift[:, :, None]], 2), list(mri.shape), align_corners=False)
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
    export_aligner(out, out)
    return outcome


def load_aligner(run: Path) -> tuple[Aligner, AlignerConfig]:
    """Encoders of a run with their averaged weights, ready to use, and the run's configuration."""
    return load_run(run, AlignerConfig, lambda config: Aligner(config.encoder))


def export_aligner(run: Path, out: Path) -> None:
    """Write both encoders of a run as ONNX, checked against torch, and their card."""
    model, config = load_aligner(run)
    out.mkdir(parents=True, exist_ok=True)
    canvas = config.canvas
    _export(model.dxa, out / DXA_ONNX, (DXA_CHANNELS, *canvas.dxa))
    _export(model.mri, out / MRI_ONNX, (MRI_CHANNELS, *canvas.mri))
    record = json.loads((run / RECORD).read_text(encoding="utf-8"))
    told = {k: record[k] for k in ("people", "steps", "seconds", "seed", "validation", "versions")}
    write_card(out, pixel_mm=canvas.pixel_mm, dxa=canvas.dxa, mri=canvas.mri, run=told)


def _export(encoder: Encoder, path: Path, shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(2, *shape, generator=generator)
    program = torch.onnx.export(
        encoder,
        (example,),
        input_names=["image"],
        output_names=["features"],
        dynamic_shapes=({0: torch.export.Dim("n")},),
        dynamo=True,
        verbose=False,
    )
    save_onnx(program, path)
    with torch.inference_mode():
        wanted = encoder(example[:1]).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = float(np.abs(session.run(None, {"image": example[:1].numpy()})[0] - wanted).max())
    if not worst <= TOLERANCE:
        raise BundleError(
            found=f"{path.name} that differs from the network by {worst:.2g}",
            expected=f"at most {TOLERANCE}",
            do="Report this with the versions of torch, onnx and onnxruntime.",
        )
