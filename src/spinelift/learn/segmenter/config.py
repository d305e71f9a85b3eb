"""Typed configuration of the segmenter's training."""

from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spinelift.config import Config
from spinelift.geometry.canonical import CANONICAL_SHAPE
from spinelift.learn.loop.config import Share, TrainingConfig


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
    gamma: float = Field(default=0.35, description="standard deviation of log gamma")
    contrast: float = Field(default=0.3, description="standard deviation of log contrast")
    brightness: float = Field(default=0.05, description="standard deviation of an offset inside the body")
    curve: Share = Field(default=0.5, description="a random monotone tone curve")
    field: Share = Field(default=0.4, description="smooth multiplicative field")
    blur: Share = 0.4
    blur_px: float = Field(default=1.2, description="largest sigma")
    noise: Share = 0.7
    noise_level: float = Field(default=0.04, description="largest standard deviation")
    patches: Share = Field(default=0.15, description="bright (metal) or dark patches")


class WindowConfig(Config):
    """Most batches show a window around the spine: a trained network learns edges seven times as fast.

    Batch norm keeps the statistics of whole images, because the network is used on whole images.
    """

    shape: tuple[PositiveInt, PositiveInt] = Field(default=(288, 112), description="rows, columns, px")
    shift_px: int = Field(default=8, ge=0, description="± shift of the window from the middle of the spine")
    whole: Share = Field(default=0.05, description="batches of the whole canvas")

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


class SegmenterConfig(TrainingConfig):
    """One experiment."""

    network: UnetConfig = UnetConfig()
    augment: ScanAugment = ScanAugment()
    loss: SegmenterLossConfig = SegmenterLossConfig()
    window: WindowConfig | None = None
