"""Typed configurations of training: what all share."""

from collections.abc import Mapping
from functools import reduce
from operator import getitem
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spinelift.config import Config, flat, merged, with_values
from spinelift.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]


class CosineSchedule(Config):
    """Linear warm-up over the first share of the run, then half a cosine down to ``floor`` times the rate."""

    kind: Literal["cosine"] = "cosine"
    warmup: Share = 0.03
    floor: Share = 0.005


class StepSchedule(Config):
    """Multiply the rate by ``factor`` after every ``every_epochs`` epochs (paper, section 4)."""

    kind: Literal["step"]
    every_epochs: PositiveInt
    factor: Share


class OptimConfig(Config):
    """Optimiser: Adam, or AdamW where ``weight_decay`` > 0."""

    rate: PositiveFloat
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0
    schedule: CosineSchedule | StepSchedule = Field(default_factory=CosineSchedule, discriminator="kind")


class LoopConfig(Config):
    """Length of a run, and how often it validates, logs and saves. It ends at the first limit reached."""

    seed: int = 0
    batch: PositiveInt = Field(default=32, description="examples a step, over all processes")
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    max_seconds: PositiveFloat | None = Field(
        default=None, description="turned into steps by the speed measured"
    )
    threads: PositiveInt | None = Field(default=None, description="CPU threads; None for torch's choice")
    ema: Share = Field(default=0.998, description="largest decay a step of the averaged weights; 0: none")
    validate_every: PositiveInt = Field(default=500, description="steps")
    validate_limit: PositiveInt = Field(default=400, description="held-out examples")
    keep_best: str | None = Field(default=None, description="validation metric whose least value is kept")
    patience: PositiveInt | None = Field(
        default=None, description="validations without a better one, then stop"
    )
    checkpoint_seconds: float = 120.0
    log_every: PositiveInt = Field(default=50, description="steps")

    def longer(self, factor: int) -> Self:
        """A copy with every limit ``factor`` times as large."""
        limits = self.model_dump(include={"epochs", "steps", "max_seconds"})
        return self.model_copy(update={k: v and v * factor for k, v in limits.items()})

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.epochs is None and self.steps is None and self.max_seconds is None:
            raise ValueError("one of epochs, steps and max_seconds must be given")
        if self.patience is not None and self.keep_best is None:
            raise ValueError("patience needs keep_best")
        return self


class DeviceConfig(Config):
    """Where a run computes, by Lightning Fabric. Several processes share each batch (DDP)."""

    accelerator: Literal["auto", "cpu", "gpu"] = Field(
        default="auto", description="auto: a GPU if there is one"
    )
    devices: PositiveInt = Field(default=1, description="GPUs, or processes on a CPU, of each node")
    nodes: PositiveInt = 1
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="of the networks; never of curves")
    compile: bool = Field(default=False, description="compile the parts of the network by torch.compile")


class TrainingConfig(Config):
    """What every experiment has: the optimiser, the loop, the device and the weights to start from."""

    version: Literal[1] = 1
    optim: OptimConfig
    loop: LoopConfig
    device: DeviceConfig = DeviceConfig()
    init_from: str | None = Field(default=None, description="initial weights, safetensors; None: random")

    def override(self, changes: Mapping[str, object]) -> Self:
        """A copy with other values at keys such as ``loop.batch``; None keeps a value.

        ``loop.max_seconds`` replaces the limits in steps and epochs. A :class:`ConfigError` names a value
        that makes no sense.
        """
        old = self.model_dump()
        given = {key: value for key, value in changes.items() if value is not None}
        values = {key: merged(reduce(getitem, key.split("."), old), value) for key, value in given.items()}
        if "loop.max_seconds" in values:
            values = {"loop.epochs": None, "loop.steps": None} | values
        try:
            return with_values(self, values)
        except ValueError as error:
            raise ConfigError(
                found=str(error), expected="settings that make sense", do="Change the options named above."
            ) from error

    def differences(self, other: Self) -> dict[str, tuple[object, object]]:
        """Keys whose values differ, with both values."""
        mine, theirs = flat(self.model_dump()), flat(other.model_dump())
        keys = sorted(mine.keys() | theirs.keys())
        pairs = {key: (mine.get(key), theirs.get(key)) for key in keys}
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
