"""Typed configurations of training: what all share, and how one is read from YAML."""

from collections.abc import Mapping
from functools import reduce
from importlib.resources import files
from importlib.resources.abc import Traversable
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from spinelift.errors import ConfigError
from spinelift.files import write_whole

Share = Annotated[float, Field(ge=0, le=1)]


MAX_BYTES = 1 << 16
"""Largest file of a configuration; the parser reads about 100 kB a second."""


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few lines of them expand to billions of values."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name): write the value itself")
        return super().compose_node(parent, index)


def _text(file: Traversable) -> str:
    with file.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 10} KiB")
    return data.decode()


class Config(BaseModel):
    """A frozen model that refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read YAML from a file, or a configuration of the package by its name (``default.yaml``).

        A key ``base`` names another configuration, of which the file changes some values.
        """
        source = Path(path)
        packaged = files("spinelift") / "configs" / source.name
        try:
            file = source if source.is_file() else packaged
            document = yaml.load(_text(file), _Plain)
            base = document.pop("base", None) if isinstance(document, dict) else None
            return cls.model_validate(
                _merged(cls.load(str(base)).model_dump(), document) if base else document
            )
        except FileNotFoundError as error:
            raise ConfigError(
                found=f"no file {source.name}",
                expected="a YAML file, or the name of a configuration of the package",
                do=f"Choose one of {', '.join(packaged_configs())}.",
            ) from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # pydantic's, UnicodeError: ValueErrors
            raise ConfigError(
                found=f"in {source.name}: {error}",
                expected=f"a {cls.__name__}",
                do="Fix the values named above.",
            ) from error

    def dump(self, path: Path) -> None:
        """Write as YAML."""
        write_whole(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


AnyConfig = TypeVar("AnyConfig", bound=Config)


def _merged(old: object, new: object) -> object:
    """Values of ``new`` in place of those of ``old``, in nested mappings key by key."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def packaged_configs() -> list[str]:
    """Names of the configurations in the package."""
    return sorted(p.name for p in (files("spinelift") / "configs").iterdir() if p.name.endswith(".yaml"))


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
        values = {key: _merged(reduce(getitem, key.split("."), old), value) for key, value in given.items()}
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


def with_values(config: AnyConfig, values: Mapping[str, object]) -> AnyConfig:
    """A copy with other values at keys such as ``loop.batch``.

    Raises KeyError or TypeError for a key that leads nowhere, ValueError for a value that makes no sense.
    """
    document = config.model_dump()
    for key, value in values.items():
        *path, name = key.split(".")
        reduce(getitem, path, document)[name] = value
    return type(config).model_validate(document)


def flat(values: object, prefix: str = "") -> dict[str, Any]:
    """Values of nested mappings and lists by keys such as ``loop.batch`` and ``networks.0.name``."""
    if not isinstance(values, Mapping | list) or not values:
        return {prefix.rstrip("."): values}
    items = values.items() if isinstance(values, Mapping) else enumerate(values)
    return {k: v for key, value in items for k, v in flat(value, f"{prefix}{key}.").items()}
