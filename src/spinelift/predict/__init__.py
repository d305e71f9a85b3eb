"""Prediction without torch. The module itself can be called: ``spinelift.predict("scan.zip")``.

The package and its main function share a name, so the module's class carries ``__call__``; whichever is
imported first, ``spinelift.predict`` is the same object.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spinelift.predict.bundle import Bundle, BundleRef
    from spinelift.predict.card import Card
    from spinelift.predict.model import Model, load_model, predict
    from spinelift.predict.prediction import Prediction

__all__ = ["Bundle", "BundleRef", "Card", "Model", "Prediction", "load_model", "predict"]

_HOMES = {
    "Bundle": "bundle",
    "BundleRef": "bundle",
    "Card": "card",
    "Model": "model",
    "Prediction": "prediction",
    "load_model": "model",
    "predict": "model",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> "Prediction":
        from spinelift.predict.model import predict

        return predict(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
