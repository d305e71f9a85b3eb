"""The card of a model bundle: what it is, how it was made, how good it is, and what it must not be used for.

Training writes it, prediction reads it and obeys it. No network library is needed for either.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spinelift.geometry import CROP_SIZE, FIRST_SPINE_ROW, SPINE_ROWS
from spinelift.geometry.canonical import CANONICAL_MM, CANONICAL_SHAPE

Matrix = list[list[float]]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

CARD_NAME = "card.json"
SEGMENTER_NAME = "segmenter.onnx"
REGRESSOR_NAME = "regressor.onnx"
REQUIRED_FILES = (SEGMENTER_NAME, REGRESSOR_NAME)
CURVES = 6


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Preprocessing(_Part):
    """What is done to a scan before the networks; a bundle made with other values is refused."""

    grid_mm: float = CANONICAL_MM
    grid_shape: tuple[int, int] = CANONICAL_SHAPE
    crop_size: int = CROP_SIZE
    spine_rows: int = SPINE_ROWS
    first_spine_row: float = FIRST_SPINE_ROW
    image_range: tuple[float, float] = (0.0, 255.0)


class Network(_Part):
    """One network of the bundle, in words and figures."""

    architecture: str
    parameters: int = Field(ge=0)
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Training(_Part):
    """Where the weights come from."""

    data: str
    people: int = Field(ge=0)
    steps: int = Field(ge=0)
    seconds: float = Field(ge=0)
    seed: int
    details: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Metric(_Part):
    """One measured figure with its 95 % bootstrap interval, beside the baselines of the same run."""

    name: str
    dataset: str
    value: float
    unit: str
    spines: int = Field(ge=1)
    interval95: tuple[float, float] | None = None
    baselines: dict[str, float] = Field(default_factory=dict)


class Shift(_Part):
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


class Calibration(_Part):
    """What turns the regressor's numbers into honest ones; a part that is None was not calibrated.

    Parameters
    ----------
    interval90
        Factors [6, 209] on the regressor's ``scale``: the half width of the 90 % interval, crop px.
    shift
        Distance from the calibration people.
    residual_modes
        Principal modes [K, 6 × 209] of the standardised residuals (true − predicted) / scale, each times
        the standard deviation of its score.
    mean_curves
        The prior's mean curves [6, 209], crop px.
    prior_interval90_mm
        Half width [6, 209] of the prior's own 90 % interval, mm: what is known without an image.
    source
        The people that it was calibrated on, in words.
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


class Card(_Part):
    """``card.json``; ``files`` holds the SHA-256 of every other file of the bundle by its name."""

    format: Literal[1] = 1
    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    created: str
    spinelift_version: str
    preprocessing: Preprocessing = Field(default_factory=Preprocessing)
    networks: dict[str, Network] = Field(default_factory=dict)
    training: Training
    metrics: list[Metric] = Field(default_factory=list)
    calibration: Calibration = Field(default_factory=Calibration)
    limits: list[str] = Field(default_factory=list)
    licence: str
    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _names(self) -> "Card":
        missing = [name for name in REQUIRED_FILES if name not in self.files]
        if missing:
            raise ValueError(f"files lacks {', '.join(missing)}")
        odd = [name for name in self.files if "/" in name or "\\" in name or name in (CARD_NAME, "..", ".")]
        if odd:
            raise ValueError(f"files names {', '.join(odd)}: only plain file names beside the card")
        return self

    def to_bytes(self) -> bytes:
        """The card as it is written to disk: UTF-8 JSON."""
        return (self.model_dump_json(indent=1) + "\n").encode()


def as_array(table: Matrix | list[float]) -> NDArray[np.float64]:
    """A table of the card as float64."""
    return np.asarray(table, np.float64)
