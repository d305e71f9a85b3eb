"""spinelift lifts the spine from a single 2D DXA scan into 3D.

>>> import spinelift
>>> spine = spinelift.predict("src/spinelift/demo/1900003_20158_2_0.zip")
>>> spine.curves.centreline_mm.shape
(209, 3)
"""

import os
from typing import TYPE_CHECKING

import lazy_loader

from spinelift.errors import SpineliftError
from spinelift.version import __version__

if TYPE_CHECKING:
    from spinelift import measures
    from spinelift.inference import Model, Prediction, load_model, measure, predict, predict_many

__all__ = [
    "Model", "Prediction", "SpineliftError", "__version__", "load_model", "measure", "measures",
    "predict", "predict_many",
]  # fmt: skip

# Official builds of ONNX Runtime, from 1.29 on, send usage data to Microsoft unless this is set.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# ONNX Runtime and NumPy load when they are first asked for, so that `spinelift --help` stays quick.
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submodules=["measures"],
    submod_attrs={"inference": ["Model", "Prediction", "load_model", "measure", "predict", "predict_many"]},
)
