"""The card of a set of networks: what it is, how it was made, how good it is, what it must not be used for.

Training writes it, and what runs the networks reads it and obeys it. The kinds of sets are in
``spinelift.bundle.kinds``.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spinelift.geometry import SPINE_ROWS

Matrix = list[list[float]]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Shape = tuple[int | None, ...]
"""Sizes of an array's axes; None for any."""

CARD_NAME = "card.json"
CURVES = 6


@dataclass(frozen=True)
class Signature:
    """The one input of a network, float32, and its outputs in order: their shapes by name."""

    input: Mapping[str, Shape]
    outputs: Mapping[str, Shape]


class Part(BaseModel):
    """A part of a card: fixed, without unknown keys, NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Preprocessing(Part):
    """What is done to images before the networks, and with it what these take and give."""

    @abstractmethod
    def signatures(self) -> dict[str, Signature]:
        """Of each network that the set must hold, by its name; its file is ``<name>.onnx``."""


class Network(Part):
    """One network of a set, in words and figures."""

    architecture: str
    parameters: int = Field(ge=0)
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Training(Part):
    """Where the weights come from; None for what was not recorded."""

    data: str
    people: int = Field(ge=0)
    steps: int | None = Field(ge=0)
    seconds: float | None = Field(ge=0)
    seed: int | None
    details: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Metric(Part):
    """One measured figure with its 95 % bootstrap interval, beside the baselines of the same run."""

    name: str
    dataset: str
    value: float
    unit: str
    spines: int = Field(ge=1)
    interval95: tuple[float, float] | None = None
    baselines: dict[str, float] = Field(default_factory=dict)


class Shift(Part):
    """How far a scan's features lie from those of the calibration people.

    ``whitening`` [D, K] turns features minus ``mean`` [D] into K numbers of unit variance; their norm is
    the Mahalanobis distance. ``quantiles`` holds its quantiles over the calibration people by their
    probability, at least "0.99".
    """

    mean: list[float]
    whitening: Matrix
    quantiles: dict[str, float]

    @model_validator(mode="after")
    def _shapes(self) -> "Shift":
        if len(self.whitening) != len(self.mean) or len({len(row) for row in self.whitening}) > 1:
            raise ValueError("shift.whitening must have one row of equal length a feature")
        if self.quantiles.get("0.99", 0.0) <= 0:
            raise ValueError('shift.quantiles needs a positive "0.99"')
        return self


class Calibration(Part):
    """What turns the regressor's numbers into intervals; a part that is None was not calibrated.

    ``interval90`` are factors [6, 209] on the regressor's ``scale``: the half width of the 90 % interval,
    crop px. ``residual_modes`` are principal modes [K, 6 × 209] of the standardised residuals
    (true − predicted) / scale, each times the standard deviation of its score. ``mean_curves`` [6, 209], crop
    px, and ``prior_interval90_mm`` [6, 209], the half width of a 90 % interval, are the prior's own: what is
    known without an image. ``source`` names the calibration people in words.
    """

    interval90: Matrix | None = None
    shift: Shift | None = None
    residual_modes: Matrix | None = None
    mean_curves: Matrix | None = None
    prior_interval90_mm: Matrix | None = None
    source: str = ""

    @model_validator(mode="after")
    def _shapes(self) -> "Calibration":
        for name in ("interval90", "mean_curves", "prior_interval90_mm"):
            table = getattr(self, name)
            if table is not None and [len(row) for row in table] != [SPINE_ROWS] * CURVES:
                raise ValueError(f"calibration.{name} must be [6, {SPINE_ROWS}]")
        modes = self.residual_modes
        if modes is not None and {len(row) for row in modes} != {CURVES * SPINE_ROWS}:
            raise ValueError(f"calibration.residual_modes must be [K, {CURVES * SPINE_ROWS}]")
        return self


class Card(Part):
    """``card.json`` of any kind; ``files`` holds the SHA-256 of every other file of the set by its name."""

    SHIPPED: ClassVar[str]
    """Folder of the set that comes with spinelift."""
    format: Literal[1] = 1
    kind: str
    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    created: str
    spinelift_version: str
    preprocessing: Preprocessing
    networks: dict[str, Network] = Field(default_factory=dict)
    training: Training
    metrics: list[Metric] = Field(default_factory=list)
    limits: list[str] = Field(default_factory=list)
    licence: str
    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _names(self) -> "Card":
        needed = (f"{name}.onnx" for name in self.preprocessing.signatures())
        missing = [name for name in needed if name not in self.files]
        if missing:
            raise ValueError(f"files lacks {', '.join(missing)}")
        odd = [name for name in self.files if "/" in name or "\\" in name or name in (CARD_NAME, "..", ".")]
        if odd:
            raise ValueError(f"files names {', '.join(odd)}: only plain file names beside the card")
        return self
