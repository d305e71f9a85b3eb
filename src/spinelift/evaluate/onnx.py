"""A bundle's regressor as a function of images."""

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from spinelift.evaluate.pairs import Regressor


def load_regressor_session(network: bytes) -> Regressor:
    """ONNX bytes → images [n, 1, 224, 224] of 0..255 → curves, scale, features."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])

    def run(image: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        outputs: Sequence[NDArray[np.float32]] = session.run(
            ["curves", "scale", "features"], {"image": image}
        )
        return outputs

    return run
