"""Typed configuration of the MRI segmenter's training."""

from typing import Literal

from pydantic import Field, PositiveInt

from spinelift.learn.loop.config import Config, LoopConfig, OptimConfig, Share


class MriNetworkConfig(Config):
    """A small U-Net over slices, and convolutions over heights."""

    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (16, 32, 48, 64)
    features: PositiveInt = Field(default=24, description="numbers that a slice tells the second network")
    ends_width: PositiveInt = 32


class MriAugment(Config):
    """Changes of slices; grey relative, probabilities per slice."""

    rotation_deg: float = 8.0
    scale: float = 0.1
    shift_px: float = 10.0
    gain: float = Field(default=0.3, description="± natural logarithm of a contrast's brightness")
    field: float = Field(default=0.3, description="± natural logarithm of a smooth bias field")
    noise: float = 0.08
    drop: Share = Field(default=0.05, description="an outer slice repeats the middle one")


class MriSegmenterConfig(Config):
    """One experiment."""

    version: Literal[1] = 1
    network: MriNetworkConfig = MriNetworkConfig()
    augment: MriAugment = MriAugment()
    optim: OptimConfig
    loop: LoopConfig
    ends_steps: PositiveInt = Field(default=1500, description="steps of the second network's training")
