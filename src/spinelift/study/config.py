"""Typed configuration of a study: folds, compute, networks."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spinelift.cohort.splits import FOLDS
from spinelift.config import Config, with_values
from spinelift.errors import ConfigError
from spinelift.learn.regressor.config import PaperConfig, RegressorConfig


class Budget(Config):
    """Compute of every network of every fold: equal time on one machine, or equal passes over the people."""

    minutes: PositiveFloat | None = None
    epochs: PositiveInt | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.minutes is None) == (self.epochs is None):
            raise ValueError("one of minutes and epochs must be given")
        return self


class NetworkEntry(Config):
    """One network: a training configuration with some values changed.

    ``change`` holds values by dotted keys, such as ``loop.batch``. ``curves`` are those that it learns: of
    the pipeline, or the true ones of simulated people (``--truth``).
    """

    name: Annotated[str, Field(pattern=r"^\w[\w ,()-]*$")]
    config: str
    change: dict[str, Any] = Field(default_factory=dict)
    curves: Literal["pipeline", "truth"] = "pipeline"

    @property
    def slug(self) -> str:
        """Name of its folders."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.name).split())


class StudyConfig(Config):
    """A study; networks are trained for the first ``folds`` of the five, each held out in turn."""

    version: Literal[1] = 1
    folds: int = Field(default=FOLDS, ge=1, le=FOLDS)
    budget: Budget
    keep_best: bool = Field(default=True, description="weights of the best validation, not the last ones")
    networks: list[NetworkEntry] = Field(min_length=1)
    iou_step_mm: PositiveFloat | None = Field(default=1.0, description="grid of the 3D IoU; None: left out")
    smallest_group: PositiveInt = Field(default=10, description="people below which a group has no figures")

    @model_validator(mode="after")
    def _names(self) -> Self:
        if len({entry.slug.lower() for entry in self.networks}) < len(self.networks):
            raise ValueError("networks must have different names")
        return self

    def training(
        self, *, threads: int | None = None, weights: Path | None = None, from_scratch: bool = False
    ) -> list[RegressorConfig]:
        """Training configuration of each network, with the budget as its only limit.

        ``weights``: file of the backbone's pre-trained weights; ``from_scratch``: random ones. A
        :class:`ConfigError` names a value that makes no sense, or a file that is missing.
        """
        limits = {
            "loop.epochs": self.budget.epochs,
            "loop.max_seconds": self.budget.minutes and self.budget.minutes * 60,
            "loop.steps": None,
            "loop.keep_best": "mae_mm" if self.keep_best else None,
        }
        backbone: dict[str, Any] = {} if weights is None else {"network.weights": str(weights)}
        backbone |= {"network.pretrained": False} if from_scratch else {}
        out = []
        for entry in self.networks:
            base = RegressorConfig.load(entry.config)
            changes = entry.change | limits | ({} if threads is None else {"loop.threads": threads})
            changes |= backbone if isinstance(base.network, PaperConfig) else {}
            config = _changed(base, changes)
            _check_file(entry.name, "initial weights", config.init_from)
            if isinstance(config.network, PaperConfig) and config.network.pretrained:
                _check_file(entry.name, "pre-trained weights", config.network.weights)
            out.append(config)
        return out


def _changed(config: RegressorConfig, changes: dict[str, Any]) -> RegressorConfig:
    try:
        return with_values(config, changes)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            found=f"changes of a network that do not fit ({error})",
            expected="values of the training configuration by dotted keys, such as loop.batch",
            do="Correct the key `change` of the study's configuration.",
        ) from error


def _check_file(name: str, what: str, path: str | None) -> None:
    if path is not None and not Path(path).is_file():
        raise ConfigError(
            found=f"no {what} for the network {name} ({Path(path).name})",
            expected="a file that exists",
            do="Check the path, give --weights FILE, or --from-scratch for random weights.",
        )
