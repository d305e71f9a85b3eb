"""Yardsticks of a model bundle: its predictor, its mean curves, its card."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.ends import Segmenter
from benchmarks.yardsticks.score import Predictor
from spinelift.bundle import Bundle, PredictionCard, add_metrics
from spinelift.errors import BundleError
from spinelift.evaluate.table import Row
from spinelift.inference.calibrate import Calibrator

Float = NDArray[np.float64]
LAPLACE90 = float(np.log(10))
"""Half width of the 90 % interval of a Laplace distribution, over its scale; for bundles not calibrated."""


def bundle_predictor(bundle: Bundle[PredictionCard]) -> Predictor:
    """A bundle's regressor and its calibrated intervals."""
    regressor = bundle.network("regressor")
    factors = Calibrator(bundle.card.calibration).factors
    spread = LAPLACE90 if factors is None else factors

    def predict(images: NDArray[np.uint8]) -> tuple[Float, Float]:
        curves, scale, _ = regressor(images[:, None].astype(np.float32))
        if not np.isfinite(curves).all():
            raise BundleError(
                found="a regressor that gives numbers which are not finite",
                expected="finite curves",
                do="Use another bundle.",
            )
        return curves.astype(np.float64), scale.astype(np.float64) * spread

    return predict


def bundle_segmenter(bundle: Bundle[PredictionCard]) -> Segmenter:
    """A bundle's segmenter."""
    network = bundle.network("segmenter")

    def segment(images: NDArray[np.float32]) -> NDArray[np.float32]:
        (maps,) = network(images)
        return maps

    return segment


def bundle_mean_curves(bundle: Bundle[PredictionCard]) -> Float | None:
    """Mean curves [6, 209], crop px, of the bundle's calibration people; None when its card lacks them."""
    curves = bundle.card.calibration.mean_curves
    return None if curves is None else np.array(curves)


def donors_of(bundle: Bundle[PredictionCard]) -> tuple[str, ...]:
    """Donors of vertebrae that the bundle was trained on, by its card."""
    names = str(bundle.card.training.details.get("donors", ""))
    return tuple(names.split(", ")) if names else ()


def add_to_card(folder: Path, rows: Mapping[str, Sequence[Row]]) -> PredictionCard:
    """Put metrics, by the name of their yardstick, into a bundle's card in place of earlier ones."""
    return add_metrics(PredictionCard, folder, [row.to_card(k) for k, v in rows.items() for row in v])
