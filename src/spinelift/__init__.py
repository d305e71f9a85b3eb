"""spinelift lifts the spine from a single 2D DXA scan into 3D.

>>> import spinelift
>>> prediction = spinelift.predict("1234567_20158_2_0.zip")  # doctest: +SKIP
>>> prediction.curves.centreline_mm.shape  # doctest: +SKIP
(209, 3)
"""

from typing import TYPE_CHECKING

from spinelift.errors import SpineliftError

if TYPE_CHECKING:
    from spinelift.predict.model import load_model, predict

__version__ = "0.1.0"
__all__ = ["SpineliftError", "__version__", "load_model", "predict"]


def __getattr__(name: str) -> object:
    """Import what needs ONNX Runtime only when it is asked for (PEP 562)."""
    if name == "predict":
        from importlib import import_module

        return import_module("spinelift.predict")
    if name == "load_model":
        from spinelift.predict.model import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
