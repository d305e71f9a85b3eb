"""Typed configurations of training: what all share, and how one is read from YAML."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from spinelift.errors import ConfigError
from spinelift.files import write_whole

Share = Annotated[float, Field(ge=0, le=1)]


class Config(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read YAML from a file, or a configuration of the package by its name (``default.yaml``).

        A key ``base`` names another configuration, of which the file changes some values.
        """
        source = Path(path)
        packaged = files("spinelift") / "configs" / source.name
        try:
            file = source if source.is_file() else packaged
            document = yaml.safe_load(file.read_text(encoding="utf-8"))
            base = document.pop("base", None) if isinstance(document, dict) else None
            return cls.model_validate(
                _merged(cls.load(str(base)).model_dump(), document) if base else document
            )
        except FileNotFoundError as error:
            raise ConfigError(
                found=f"no file {path}",
                expected="a YAML file, or the name of a configuration of the package",
                do=f"Choose one of {', '.join(packaged_configs())}.",
            ) from error
        except (
            yaml.YAMLError,
            ValueError,
        ) as error:  # pydantic's is a ValueError, and so is that of no UTF-8
            raise ConfigError(
                found=f"in {path}: {error}", expected=f"a {cls.__name__}", do="Fix the values named above."
            ) from error

    def dump(self, path: Path) -> None:
        """Write as YAML."""
        write_whole(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


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
    batch: PositiveInt = 32
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    max_seconds: PositiveFloat | None = None
    threads: PositiveInt | None = Field(default=None, description="CPU threads; None for torch's choice")
    ema: Share = Field(default=0.998, description="largest decay of the averaged weights a step")
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


class TrainingConfig(Config):
    """What every experiment has: the optimiser, the loop and the weights to start from."""

    version: Literal[1] = 1
    optim: OptimConfig
    loop: LoopConfig
    init_from: str | None = Field(default=None, description="initial weights, safetensors; None: random")

    def override(
        self, max_minutes: float | None = None, threads: int | None = None, init_from: Path | None = None
    ) -> Self:
        """A copy with another time budget, number of threads or initial weights, where given."""
        loop: dict[str, object] = {} if threads is None else {"threads": threads}
        if max_minutes is not None:
            loop |= {"max_seconds": max_minutes * 60, "epochs": None, "steps": None}
        start = {} if init_from is None else {"init_from": str(init_from)}
        return self.model_copy(update={"loop": self.loop.model_copy(update=loop), **start})
