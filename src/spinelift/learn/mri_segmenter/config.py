"""Typed configuration of the MRI segmenter's training."""

from pydantic import Field, PositiveFloat, PositiveInt

from spinelift.config import Config
from spinelift.learn.loop.config import Share, TrainingConfig


class MriNetworkConfig(Config):
    """A small U-Net over slices, and convolutions over heights."""

    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (16, 32, 48, 64)
    features: PositiveInt = Field(default=24, description="features of a slice that the second network reads")
    ends_width: PositiveInt = 32


class MriAugment(Config):
    """Changes of slices; grey relative, probabilities per slice."""

    mirror: Share = Field(default=0.5, description="left to right")
    rotation_deg: float = Field(default=8.0, description="± rotation")
    scale: float = Field(default=0.1, description="± share of magnification")
    shift_px: float = Field(default=10.0, description="± shift along rows and columns, voxels")
    gain: float = Field(default=0.3, description="± natural logarithm of a contrast's brightness")
    field: float = Field(default=0.3, description="± natural logarithm of a smooth bias field")
    noise: float = Field(default=0.08, description="largest standard deviation of the noise")
    drop: Share = Field(default=0.05, description="an outer slice repeats the middle one")


class MriLossConfig(Config):
    """Loss of the first network. Heights are 0 at T1's upper and 1 at L5's lower endplate."""

    bce: float = Field(default=5.0, description="weight of the cross-entropy of the cross-section")
    dice: float = Field(default=1.0, description="weight of its Dice loss")
    height: float = Field(default=1.0, description="weight of the L1 loss of the height")
    margin: Share = Field(default=0.004, description="height at either end without a known cross-section")
    height_range: tuple[float, float] = Field(default=(-0.3, 1.3), description="limits of learnt heights")


class EndsConfig(Config):
    """Training of the second network on the features of the first."""

    steps: PositiveInt = 1500
    batch: PositiveInt = Field(default=8, description="people a step")
    rate: PositiveFloat = Field(default=2e-3, description="learning rate, half a cosine")
    final_rate: float = Field(default=1e-5, description="learning rate at the end of the cosine")
    weight_decay: float = 0.05
    clip_norm: PositiveFloat = 1.0
    stretch: Share = Field(default=0.12, description="± share of stretching along the body")
    cut_slices: int = Field(default=12, ge=0, description="largest number of slices cut off at the top")
    kept_slices: int = Field(default=4, ge=0, description="least number of slices kept above T1")
    noise: float = Field(default=0.15, description="noise, in standard deviations of a feature")
    offset: float = Field(default=0.1, description="offset of a person's features, in standard deviations")
    sigma_slices: PositiveFloat = Field(default=2.0, description="width of the target's Gaussian, slices")


class MriSegmenterConfig(TrainingConfig):
    """One experiment."""

    network: MriNetworkConfig = MriNetworkConfig()
    augment: MriAugment = MriAugment()
    loss: MriLossConfig = MriLossConfig()
    heights: tuple[float, float] = Field(default=(-0.25, 1.35), description="slices used: neck to pelvis")
    ends: EndsConfig = EndsConfig()
