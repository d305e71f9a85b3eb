"""Typed configuration of the regressor's training."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from spinelift.learn.loop.config import Config, LoopConfig, OptimConfig, Share


class RowsConfig(Config):
    """The row-token network."""

    kind: Literal["rows"] = "rows"
    channels: tuple[int, int, int, int] = (32, 64, 96, 128)
    extra_blocks: int = 0
    windows: list[PositiveInt] = Field(default=[9, 25], description="local-contrast windows, px, odd")
    width: PositiveInt = 128
    layers: PositiveInt = 3
    heads: PositiveInt = 4
    dropout: Share = 0.1
    context: PositiveInt = Field(default=32, description="channels of the locator and its view of a row")


class PaperConfig(Config):
    """ResNet50, one bottleneck-transformer layer, average pooling, dropout, a linear layer (paper, 3.2)."""

    kind: Literal["paper"]
    backbone: str = "resnetv2_50x1_bit.goog_in21k"
    pretrained: bool = Field(default=True, description="from the hub where it is reached, else random")
    weights: str | None = Field(default=None, description="local file of timm weights instead of the hub")
    bot: bool = Field(default=True, description="False: the ablation without the transformer layer")
    bot_width: PositiveInt = 512
    heads: PositiveInt = 4
    dropout: Share = 0.3


class GeometryAugment(Config):
    """Changes of place; the curves follow exactly. Pixels of the 224×224 crop."""

    mirror: Share = 0.5
    warp: Share = Field(default=0.7, description="share of images whose rows are shifted smoothly")
    warp_px: float = Field(default=8.0, description="largest row shift")
    tilt_px: float = Field(default=3.0, description="largest shift of an end by tilting")
    width: float = Field(default=0.04, description="± share of horizontal scaling")
    scale: float = Field(default=0.02, description="± share of an error in the spine's height")
    row_px: float = Field(default=2.5, description="standard deviation of a vertical shift")
    column_px: float = Field(default=1.5, description="standard deviation of a horizontal shift")


class ToneAugment(Config):
    """Changes of grey, blur, noise and damage. Grey levels are 0..1; probabilities are per image."""

    gamma: float = Field(default=0.3, description="standard deviation of log gamma")
    contrast: float = Field(default=0.25, description="standard deviation of log contrast")
    brightness: float = Field(default=0.05, description="standard deviation of an offset")
    curve: Share = Field(default=0.5, description="a random monotone tone curve")
    saturate: Share = Field(default=0.15, description="clipped bright end")
    keep_air: Share = Field(default=0.7, description="black stays black")
    field: Share = Field(default=0.4, description="smooth multiplicative field")
    field_log: float = 0.25
    local: Share = Field(default=0.3, description="local contrast raised or lowered")
    blur: Share = 0.6
    blur_px: float = Field(default=1.2, description="largest common sigma")
    strong_blur: Share = 0.08
    strong_blur_px: float = 2.5
    noise: Share = 0.8
    noise_level: float = Field(default=0.03, description="largest common standard deviation")
    grain: Share = Field(default=0.4, description="noise that is correlated over a few pixels")
    bone_grain: Share = Field(default=0.6, description="texture of what is brighter than its surroundings")
    bone_grain_level: float = Field(default=0.5, description="its largest standard deviation, relative")
    smear: Share = Field(default=0.35, description="a band of rows in which vertebrae run into each other")
    smear_px: float = Field(default=8.0, description="its largest vertical blur")
    lines: Share = Field(default=0.3, description="gain and offset that change from row to row")
    lines_level: float = 0.03
    patches: Share = Field(default=0.15, description="bright (metal) or dark patches")
    missing: Share = Field(default=0.05, description="rows that were not scanned")
    degrade: Share = Field(default=0.15, description="strongly degraded, up to unreadable")


class AugmentConfig(Config):
    """All augmentation. Tones start rare: what tells depth is faint, and is found sooner in plain images."""

    plain: Share = Field(default=0.1, description="images that keep their tones to the end")
    ramp: Share = Field(default=0.15, description="share of the run over which changed tones come in")
    scramble: Share = Field(default=0.2, description="spines whose levels are turned over or out of order")
    strangers: Share = Field(default=0.4, description="spines in the surroundings of someone else")
    geometry: GeometryAugment = GeometryAugment()
    tone: ToneAugment = ToneAugment()


class LossConfig(Config):
    """Weights of the loss; errors in crop px."""

    l1: float = 1.0
    nll: float = Field(default=0.1, description="Laplace negative log likelihood, which fits the scale")
    nll_detach: bool = Field(default=True, description="the likelihood moves the scale only, not the curves")
    smooth: float = Field(
        default=1.0, description="squared second difference along z, the paper's regulariser"
    )
    sagittal: PositiveFloat = Field(default=1.0, description="weight of sagittal over coronal curves")
    locate: float = Field(default=1.0, description="L1 of the row-token network's locator")
    slope: float = Field(default=0.0, description="L1 of the change over 8 rows of the centre curves")


class RegressorConfig(Config):
    """One experiment."""

    version: Literal[1] = 1
    network: RowsConfig | PaperConfig = Field(discriminator="kind")
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig
    loop: LoopConfig
    freeze_locator: bool = Field(
        default=False, description="leave what finds the spine as `init_from` has it"
    )
    init_from: str | None = Field(
        default=None, description="safetensors to start from (a run's or a bundle's)"
    )
