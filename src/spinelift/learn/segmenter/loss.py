"""Targets and loss of the segmenter."""

import torch
import torch.nn.functional as F
from monai.losses.dice import DiceLoss
from torch import Tensor

from spinelift.learn.segmenter.config import SegmenterLossConfig

DICE = DiceLoss(sigmoid=True, batch=True)


def heat_maps(ends: Tensor, shape: tuple[int, int], sigma: float) -> Tensor:
    """Gaussians of peak 1 at the ends [B, 2, 2] (row, col): [B, 2, H, W]."""
    rows = torch.arange(shape[0]) - ends[..., 0, None]
    cols = torch.arange(shape[1]) - ends[..., 1, None]
    down = torch.exp(-0.5 * (rows / sigma) ** 2)
    across = torch.exp(-0.5 * (cols / sigma) ** 2)
    return down[..., :, None] * across[..., None, :]


def segmenter_losses(
    logits: Tensor, mask: Tensor, ends: Tensor, config: SegmenterLossConfig
) -> dict[str, Tensor]:
    """Dice and cross-entropy on the mask; cross-entropy, weighted near the ends, on the heat maps.

    Cross-entropy with a soft target is least where the probability equals the target, and unlike the squared
    error it has a gradient when the peak is missed.
    """
    dice = DICE(logits[:, :1], mask)
    bce = F.binary_cross_entropy_with_logits(logits[:, :1], mask)
    target = heat_maps(ends, (logits.shape[2], logits.shape[3]), config.sigma_px)
    weight = 1 + config.heat_weight * target
    entropy = -torch.special.xlogy(target, target) - torch.special.xlogy(1 - target, 1 - target)
    heat = F.binary_cross_entropy_with_logits(logits[:, 1:], target, reduction="none") - entropy
    # The sum over the map of an image in units of a Gaussian's area, not the mean over empty pixels.
    area = 2 * torch.pi * config.sigma_px**2
    ends_loss = (heat * weight).sum((2, 3)).mean() / (area * (1 + config.heat_weight / 2))
    loss = config.dice * dice + config.bce * bce + config.heat * ends_loss
    return {"loss": loss, "dice": dice, "bce": bce, "heat": ends_loss}
