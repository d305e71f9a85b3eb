"""Typed configuration of the regressor's training."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from spinelift.config import Config
from spinelift.learn.loop.config import Share, TrainingConfig
from spinelift.simulate.body.body import FOREIGN_SHARE
from spinelift.simulate.donors.choice import ALL_SHIPPED, Donors


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
    context: PositiveInt = Field(default=32, description="channels of the locator and of a row's context")
    head: Literal["slopes", "posterior"] = Field(
        default="slopes", description="sagittal centre: sum of the slopes, or their posterior with the prior"
    )
    modes: PositiveInt = Field(default=12, description="modes of the prior of the posterior head")


class PaperConfig(Config):
    """ResNet50, bottleneck-transformer layers, average pooling, dropout, a linear layer (paper, 2.3, 3.1)."""

    kind: Literal["paper"]
    backbone: str = "resnetv2_50x1_bit.goog_in21k"
    pretrained: bool = Field(
        default=True, description="start from pre-trained weights; False: random weights"
    )
    weights: str | None = Field(default=None, description="local file of timm weights instead of the hub")
    bot_layers: int = Field(
        default=1, ge=0, description="transformer layers; 0: the ablation, 3: as published"
    )
    bot_width: PositiveInt = 512
    heads: PositiveInt = 4
    dropout: Share = 0.3


class GeometryAugment(Config):
    """Geometric augmentation, which the curves follow exactly. Pixels of the 224×224 crop."""

    mirror: Share = 0.5
    warp: Share = Field(default=0.7, description="share of images whose rows are shifted smoothly")
    warp_px: float = Field(default=8.0, description="largest row shift")
    tilt_px: float = Field(default=3.0, description="largest shift of an end by tilting")
    width: float = Field(default=0.04, description="± share of horizontal scaling")
    scale: float = Field(default=0.02, description="± share of an error in the spine's height")
    row_px: float = Field(default=2.5, description="standard deviation of a vertical shift")
    column_px: float = Field(default=1.5, description="standard deviation of a horizontal shift")


class ToneAugment(Config):
    """Augmentation of grey, blur, noise and damage. Grey is 0..1; shares are probabilities per image."""

    gamma: float = Field(default=0.3, description="standard deviation of log gamma")
    contrast: float = Field(default=0.25, description="standard deviation of log contrast")
    brightness: float = Field(default=0.05, description="standard deviation of an offset")
    curve: Share = Field(default=0.5, description="a random monotone tone curve")
    saturate: Share = Field(default=0.15, description="clipped bright end")
    saturate_gain: float = Field(default=2.0, ge=1, description="its largest gain")
    keep_air: Share = Field(default=0.7, description="black stays black")
    field: Share = Field(default=0.4, description="smooth multiplicative field")
    field_log: float = Field(default=0.25, description="standard deviation of its natural logarithm")
    field_cells: PositiveInt = Field(default=4, description="independent values along each side")
    local: Share = Field(default=0.3, description="local contrast raised or lowered")
    local_log: tuple[float, float] = Field(default=(-0.6, 0.7), description="natural logarithm of its gain")
    local_window: PositiveInt = Field(default=31, description="window of the local mean, px, odd")
    blur: Share = 0.6
    blur_px: float = Field(default=1.2, description="largest sigma")
    strong_blur: Share = 0.08
    strong_blur_px: float = Field(default=2.5, description="largest sigma")
    noise: Share = Field(
        default=0.8, description="Gaussian noise; variance = level² · (slope · grey + floor)"
    )
    noise_level: float = Field(default=0.03, description="mean level; twice it at most")
    noise_slope: float = Field(
        default=1.0, ge=0, description="1: grows with grey as X-ray noise; 0: it does not"
    )
    noise_floor: float = Field(default=0.05, ge=0, description="variance at black")
    grain: Share = Field(default=0.4, description="noise of `noise_level` that is correlated over pixels")
    grain_px: PositiveInt = Field(default=3, description="size of its cells")
    bone_grain: Share = Field(default=0.6, description="texture of what is brighter than its surroundings")
    bone_grain_level: float = Field(default=0.5, description="mean relative deviation; twice it at most")
    bone_grain_rows: tuple[int, int] = Field(default=(30, 112), description="cells along the rows' axis")
    bone_grain_columns: tuple[int, int] = Field(default=(20, 112), description="cells along the columns")
    smear: Share = Field(default=0.35, description="a band of rows with vertical blur")
    smear_px: float = Field(default=8.0, description="its largest sigma")
    lines: Share = Field(default=0.3, description="gain and offset that change from row to row")
    lines_level: float = Field(default=0.03, description="largest standard deviation of the gain")
    lines_offset: float = Field(default=0.5, description="standard deviation of the offset over the gain's")
    patches: Share = Field(default=0.15, description="bright (metal) or dark patches")
    missing: Share = Field(default=0.05, description="rows that were not scanned")
    degrade: Share = Field(default=0.15, description="strongly degraded, up to unreadable")


class AugmentConfig(Config):
    """All augmentation. Tones are changed gradually: faint signs of depth are learnt sooner without."""

    plain: Share = Field(default=0.1, description="share of images whose tones are never changed")
    ramp: Share = Field(default=0.15, description="share of the run over which changed tones come in")
    scramble: Share = Field(default=0.2, description="share of spines with reversed or shuffled levels")
    strangers: Share = Field(default=0.4, description="share of spines in the surroundings of another person")
    geometry: GeometryAugment = GeometryAugment()
    tone: ToneAugment = ToneAugment()


class LossConfig(Config):
    """Weights of the loss; errors in crop px."""

    l1: float = 1.0
    nll: float = Field(default=0.1, description="Laplace negative log likelihood, which fits the scale")
    nll_detach: bool = Field(default=True, description="the likelihood trains the scale only, not the curves")
    smooth: float = Field(default=1.0, description="squared second difference along z, as in the paper")
    sagittal: PositiveFloat = Field(default=1.0, description="weight of sagittal over coronal curves")
    locate: float = Field(default=1.0, description="L1 of the row-token network's locator")
    slope: float = Field(default=0.0, description="L1 of the change over 8 rows of the centre curves")
    posterior: float = Field(
        default=0.5, description="negative log likelihood of the true coefficients under the posterior head"
    )


class GuideConfig(Config):
    """Training strips of the row-token network that follow the true centre, disturbed, and not the locator's.

    Sizes are standard deviations in crop px.
    """

    share: Share = Field(default=0.5, description="strips that follow the disturbed true centre")
    shift_px: float = Field(default=2.0, description="shift of the whole centre line")
    tilt_px: float = Field(default=1.4, description="shift of its ends by tilting")
    wave_px: float = Field(default=1.4, description="amplitude of a sine wave")
    wave_cycles: tuple[float, float] = Field(default=(0.5, 2.5), description="its cycles over the crop")
    noise_px: float = Field(default=0.4, description="noise of each row")


class SimulatedConfig(Config):
    """People simulated while training, who replace the oldest ones in a buffer.

    Person k of the seed is always the k-th to enter, and enters after a fixed number of images.
    """

    seed: int = Field(default=1, ge=0, description="seed of the people")
    buffer: PositiveInt = Field(default=2000, description="people held at a time")
    images_per_person: PositiveFloat = Field(
        default=10.0, description="images trained on for each new person"
    )
    workers: PositiveInt = Field(default=1, description="processes that simulate")
    donors: Donors = Field(default=ALL_SHIPPED, description="whose vertebrae they have")
    foreign_bodies: Share = Field(
        default=FOREIGN_SHARE, description="share of people in the body of another spine"
    )


class RegressorConfig(TrainingConfig):
    """One experiment. ``simulated`` people take the place of a store."""

    network: RowsConfig | PaperConfig = Field(discriminator="kind")
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    guide: GuideConfig = GuideConfig()
    simulated: SimulatedConfig | None = None
    freeze_locator: bool = Field(default=False, description="keep the locator's weights of `init_from`")
