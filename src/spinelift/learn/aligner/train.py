"""Training of the encoders of image-level registration, and their export."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.bundle import EncodersCard
from spinelift.bundle.kinds import Canvases
from spinelift.errors import ConfigError
from spinelift.learn.aligner.config import AlignAugment, AlignerConfig
from spinelift.learn.aligner.encoder import DXA_CHANNELS, MRI_CHANNELS, Aligner, info_nce
from spinelift.learn.aligner.pairs import ImagePairs, load_pairs
from spinelift.learn.export.card import network_of, read_record, training_of, write_new_card
from spinelift.learn.export.onnx import export_onnx
from spinelift.learn.loop.examples import Examples
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.train import begin, load_run, train
from spinelift.learn.random import Random
from spinelift.version import __version__


@dataclass(eq=False)
class AlignerTask:
    """Matching pairs; within a batch every other person is a non-matching example."""

    config: AlignerConfig
    examples: Examples
    held_out: ImagePairs
    model: Aligner

    def batch(self, rows: tuple[Tensor, ...], random: Random, progress: float) -> tuple[Tensor, ...]:
        """Augmented pairs."""
        return augment_pairs(*_greys(*rows), self.config.augment, random)

    def losses(self, batch: tuple[Tensor, ...], random: Random) -> dict[str, Tensor]:
        """InfoNCE of the pairs, and the share that is matched correctly."""
        scores = self.model(*batch)
        return {"loss": info_nce(scores, self.config.temperature), "matched": _matched(scores)}

    @torch.inference_mode()
    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Of ``limit`` held-out pairs, the share whose own MRI scores highest, and their InfoNCE."""
        model.eval()
        device, held = next(model.parameters()).device, self.held_out
        images = (torch.from_numpy(array[:limit]).to(device) for array in (held.dxa, held.mri))
        scores: Tensor = model(*_greys(*images))
        loss = info_nce(scores, self.config.temperature)
        return {"info_nce": float(loss), "matched": float(_matched(scores))}


def _matched(scores: Tensor) -> Tensor:
    return (scores.argmax(1) == torch.arange(len(scores), device=scores.device)).float().mean()


def _greys(dxa: Tensor, mri: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of a DXA [B, H, W] and an MRI [B, 2, h, w], 0..255, as the encoders see them."""
    return dxa.float()[:, None] / 255, mri.float() / 255


def augment_pairs(dxa: Tensor, mri: Tensor, config: AlignAugment, random: Random) -> tuple[Tensor, Tensor]:
    """Rotate and shift the MRI [B, 2, h, w] and change the greys of both images; empty pixels stay empty."""
    count = len(mri)
    angle = torch.deg2rad(random.rand(count, low=-1, high=1) * config.rotation_deg)
    rows, cols = mri.shape[2:]
    along, down = (2 * config.shift_px * random.rand(count, low=-1, high=1) / n for n in (cols, rows))
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([cos, sin * rows / cols, along, -sin * cols / rows, cos, down], 1)
    grid = F.affine_grid(turn.reshape(count, 2, 3), list(mri.shape), align_corners=False)
    mri = F.grid_sample(mri, grid, align_corners=False)
    flip = random.each(count) < config.mirror
    out = []
    for image in (dxa, mri):
        image = torch.where(flip, image.flip(3), image)
        gamma = torch.exp(random.rand(count, image.shape[1], 1, 1, low=-1, high=1) * config.gamma)
        noise = random.randn(*image.shape) * config.noise
        changed = (image.clamp(min=1e-4) ** gamma + noise).clamp(1e-4, 1.0)
        out.append(changed.masked_fill(image <= 0, 0.0))
    return out[0], out[1]


def train_aligner(
    config: AlignerConfig, *, data: Sequence[Path], validation: Path, out: Path, resume: bool = False
) -> Outcome:
    """Train, or resume; ``out`` then holds the files of a run and the encoders as ONNX.

    ``data`` and ``validation`` are files of :func:`~spinelift.learn.aligner.pairs.save_pairs`, of different
    people.
    """
    if config.loop.batch < 2:
        raise ConfigError(found="a batch of 1", expected="at least 2 pairs", do="Give a larger --batch.")
    run = begin(config, out, resume=resume)
    pairs, held_out = load_pairs(data, config.canvas), load_pairs([validation], config.canvas)
    examples = Examples(pairs.dxa, pairs.mri, people=len(pairs))
    outcome = train(
        run, lambda: Aligner(config.encoder), lambda model: AlignerTask(config, examples, held_out, model),
        examples=examples, held_out=len(held_out), data=[path.name for path in data], title="aligner",
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
