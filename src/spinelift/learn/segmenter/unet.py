"""The U-Net that finds the spine: MONAI's residual U-Net behind a normalisation of its own."""

import torch
from monai.networks.nets.unet import UNet
from torch import Tensor, nn

from spinelift.learn.segmenter.config import UnetConfig

SMALL = 1e-3
START_LOGITS = (-3.0, -8.0, -8.0)
"""Nearly all pixels are empty: training starts from there."""


class Segmenter(nn.Module):
    """Image 0..255 [B, 1, 832, 320] on the canonical grid → maps [B, 3, 832, 320], 0..1.

    Channel 0 is the spine, 1 and 2 its upper and lower end.
    """

    def __init__(self, config: UnetConfig, *, fixed_norms: bool = False) -> None:
        super().__init__()
        self.fixed_norms = fixed_norms
        strides = (2,) * (len(config.channels) - 1)
        self.unet = UNet(
            spatial_dims=2, in_channels=2, out_channels=3, channels=config.channels, strides=strides,
            num_res_units=config.residual_units, norm="BATCH", act="RELU",
        )  # fmt: skip
        self.start = nn.Parameter(torch.tensor(START_LOGITS).reshape(1, 3, 1, 1))

    def train(self, mode: bool = True) -> "Segmenter":
        """Training mode, but batch norm keeps its statistics where ``fixed_norms``."""
        super().train(mode)
        if self.fixed_norms:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def inputs(self, image: Tensor) -> Tensor:
        """What the U-Net sees [B, 2, H, W]: grey by the body's mean and spread, and grey."""
        grey = torch.sqrt(image.clamp(0.0, 255.0) / 255.0 + 1e-4)
        body = (image > 2.0).to(grey.dtype)
        area = body.mean((2, 3), keepdim=True) + SMALL
        mean = (grey * body).mean((2, 3), keepdim=True) / area
        centred = grey - mean
        variance = (centred * centred * body).mean((2, 3), keepdim=True) / area
        standard = centred / torch.sqrt(variance + SMALL)
        return torch.cat([standard.clamp(-4.0, 4.0), grey], 1)

    def logits(self, inputs: Tensor) -> Tensor:
        """Maps of ``inputs``, or of a window of them, before the sigmoid."""
        maps: Tensor = self.unet(inputs)
        return maps + self.start

    def forward(self, image: Tensor) -> Tensor:
        """Probabilities."""
        return torch.sigmoid(self.logits(self.inputs(image)))
