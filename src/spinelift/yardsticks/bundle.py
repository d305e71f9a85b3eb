"""The one place where yardsticks meet a model bundle."""

import numpy as np
from numpy.typing import NDArray

from spinelift.errors import BundleError
from spinelift.evaluate.onnx import load_regressor_session
from spinelift.predict.bundle import Bundle
from spinelift.predict.calibrate import Calibrator
from spinelift.predict.card import as_array
from spinelift.yardsticks.score import Predictor

Float = NDArray[np.float64]
LAPLACE90 = float(np.log(10))
"""Half width of the 90 % interval of a Laplace distribution, over its scale; for bundles not calibrated."""


def bundle_predictor(bundle: Bundle) -> Predictor:
    """A bundle's regressor and its calibrated intervals."""
    session = load_regressor_session(bundle.regressor)
    factors = Calibrator(bundle.card.calibration).factors
    spread = LAPLACE90 if factors is None else factors

    def predict(images: NDArray[np.uint8]) -> tuple[Float, Float]:
        curves, scale, _ = session(images[:, None].astype(np.float32))
        if not np.isfinite(curves).all():
            raise BundleError(
                found="a regressor that gives numbers which are not finite",
                expected="finite curves",
                do="Use another bundle.",
            )
        return curves.astype(np.float64), scale.astype(np.float64) * spread

    return predict


def bundle_mean_curves(bundle: Bundle) -> Float | None:
    """Mean curves [6, 209], crop px, of the bundle's calibration people; None when its card lacks them."""
    curves = bundle.card.calibration.mean_curves
    return None if curves is None else as_array(curves)
