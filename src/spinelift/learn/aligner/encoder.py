"""The encoders of image-level registration, the score of a pair, and the contrastive loss."""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.align.onnx import CELL_PX
from spinelift.learn.aligner.config import EncoderConfig

DXA_CHANNELS, MRI_CHANNELS = 1, 2


def _stage(before: int, after: int) -> nn.Sequential:
    """Two 3×3 convolutions, then pooling to half the resolution."""
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.GroupNorm(1, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


class Encoder(nn.Module):
    """Image [B, C, H, W], 0..1 → features [B, D, H/8, W/8]: length 1, or 0 where a cell is empty."""

    def __init__(self, channels: int, config: EncoderConfig) -> None:
        super().__init__()
        sizes = (channels, *config.channels)
        self.stages = nn.Sequential(*(_stage(a, b) for a, b in itertools.pairwise(sizes)))
        self.last = nn.Conv2d(sizes[-1], config.features, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Features of each cell."""
        features: Tensor = self.last(self.stages(image))
        length = torch.sqrt((features * features).sum(1, keepdim=True) + 1e-8)
        held: Tensor = F.max_pool2d((image.amax(1, keepdim=True) > 0).to(features.dtype), CELL_PX)
        return features / length * held


class Aligner(nn.Module):
    """One encoder for each modality."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dxa = Encoder(DXA_CHANNELS, config)
        self.mri = Encoder(MRI_CHANNELS, config)

    def forward(self, dxa: Tensor, mri: Tensor) -> Tensor:
        """Scores [B, B] of every DXA [B, 1, H, W] with every MRI [B, 2, h, w]."""
        return pair_scores(self.dxa(dxa), self.mri(mri))


def pair_scores(dxa: Tensor, mri: Tensor) -> Tensor:
    """Largest cross-correlation over all shifts of maps [B, D, H, W] and [B', D, h, w] → [B, B'].

    It is divided by the number of non-empty cells of the MRI, so that it lies in -1..1. Shifts leave at least
    half of the smaller map overlapping in each direction.
    """
    shapes = list(zip(dxa.shape[2:], mri.shape[2:], strict=True))
    spare = [m - (min(d, m) + 1) // 2 for d, m in shapes]
    size = [d + m - 1 for d, m in shapes]
    product = torch.einsum(
        "bdhw,cdhw->bchw", torch.fft.rfft2(dxa, s=size), torch.fft.rfft2(mri, s=size).conj()
    )
    shifted = torch.fft.irfft2(product, s=size).roll(spare, (2, 3))  # the first entry is a shift of -spare
    tried = [d - m + 2 * s + 1 for (d, m), s in zip(shapes, spare, strict=True)]
    response = shifted[:, :, : tried[0], : tried[1]]
    held = (mri.detach().abs().amax(1) > 0).sum((1, 2)).clamp(min=1)
    scores: Tensor = response.amax((2, 3)) / held
    return scores


def info_nce(scores: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE of scores [B, B] with the matching pairs on the diagonal (arXiv:1807.03748)."""
    wanted = torch.arange(len(scores), device=scores.device)
    logits = scores / temperature
    return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2
