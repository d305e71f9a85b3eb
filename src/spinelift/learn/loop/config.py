"""Typed configuration of the loop, and how any configuration is read from YAML."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from spinelift.errors import ConfigError
from spinelift.files import write_whole

Share = Annotated[float, Field(ge=0, le=1)]


class Config(BaseModel):
    """A frozen model that knows no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read YAML from a file, or the package's own configuration of that name (``default.yaml``)."""
        source = Path(path)
        packaged = files("spinelift") / "configs" / source.name
        try:
            text = source.read_text() if source.is_file() else packaged.read_text()
            return cls.model_validate(yaml.safe_load(text))
        except FileNotFoundError as error:
            raise ConfigError(
                found=f"no file {path}",
                expected="a YAML file, or the name of a configuration that comes with the package",
                do=f"Choose one of {', '.join(packaged_configs())}.",
            ) from error
        except (yaml.YAMLError, ValidationError) as error:
            raise ConfigError(
                found=f"in {path}: {error}", expected=f"a {cls.__name__}", do="Mend the values named above."
            ) from error

    def dump(self, path: Path) -> None:
        """Write as YAML."""
        write_whole(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


def packaged_configs() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(p.name for p in (files("spinelift") / "configs").iterdir() if p.name.endswith(".yaml"))


class CosineSchedule(Config):
    """Linear warm-up over the first share of the run, then half a cosine down to ``floor`` × rate."""

    kind: Literal["cosine"] = "cosine"
    warmup: Share = 0.03
    floor: Share = 0.005


class StepSchedule(Config):
    """The rate times ``factor`` after every ``every_epochs`` epochs (paper, section 4)."""

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
    """When to stop, to look and to save. The run ends at whichever limit is reached first."""

    seed: int = 0
    batch: PositiveInt = 32
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    max_seconds: PositiveFloat | None = None
    threads: PositiveInt | None = None
    ema: Share = 0.998
    validate_every: PositiveInt = 500
    validate_limit: PositiveInt = 400
    checkpoint_seconds: float = 120.0
    log_every: PositiveInt = 50

    def longer(self, factor: int) -> Self:
        """The same with every limit ``factor`` times as large."""
        limits = {"epochs": self.epochs, "steps": self.steps, "max_seconds": self.max_seconds}
        return self.model_copy(update={k: v and v * factor for k, v in limits.items()})

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.epochs is None and self.steps is None and self.max_seconds is None:
            raise ValueError("one of epochs, steps and max_seconds must be given")
        return self
