"""Typed configuration of the segmenter's training."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spinelift.geometry.canonical import CANONICAL_SHAPE
from spinelift.learn.loop.config import Config, LoopConfig, OptimConfig, Share


class UnetConfig(Config):
    """MONAI's residual U-Net."""

    channels: tuple[int, ...] = (12, 24, 48, 96, 128)
    residual_units: int = Field(default=1, ge=0)


class ScanAugment(Config):
    """Changes of whole-body images; canonical px, grey 0..1, probabilities per image."""

    mirror: Share = 0.5
    shift_px: float = Field(default=40.0, description="± rows and half as many columns")
    scale: tuple[float, float] = Field(default=(0.85, 1.15), description="magnification")
    rotation_deg: float = 4.0
    cut: Share = Field(default=0.1, description="a side of the image is missing")
    gamma: float = 0.35
    contrast: float = 0.3
    brightness: float = 0.05
    curve: Share = 0.5
    field: Share = 0.4
    blur: Share = 0.4
    blur_px: float = 1.2
    noise: Share = 0.7
    noise_level: float = 0.04
    patches: Share = 0.15


class WindowConfig(Config):
    """Most batches see the spine alone: edges are learnt seven times as fast, on a trained network.

    Batch norm then keeps the statistics of whole images, which are what the network is used on.
    """

    shape: tuple[PositiveInt, PositiveInt] = Field(default=(288, 112), description="rows, columns, px")
    shift_px: int = Field(default=8, ge=0, description="± of the window's middle from the spine's")
    whole: Share = Field(default=0.05, description="batches that see the whole canvas")

    @model_validator(mode="after")
    def _whole_cells(self) -> Self:
        if any(n % 16 or n > limit for n, limit in zip(self.shape, CANONICAL_SHAPE, strict=True)):
            raise ValueError(f"rows and columns must be multiples of 16 and fit {CANONICAL_SHAPE}")
        return self


class SegmenterLossConfig(Config):
    """Weights of the loss."""

    dice: float = 1.0
    bce: float = 1.0
    heat: float = 1.0
    heat_weight: float = Field(default=30.0, description="extra weight of pixels near an end")
    sigma_px: PositiveFloat = Field(default=2.0, description="width of an end's Gaussian")


class SegmenterConfig(Config):
    """One experiment."""

    version: Literal[1] = 1
    network: UnetConfig = UnetConfig()
    augment: ScanAugment = ScanAugment()
    loss: SegmenterLossConfig = SegmenterLossConfig()
    window: WindowConfig | None = None
    optim: OptimConfig
    loop: LoopConfig
    init_from: str | None = None
