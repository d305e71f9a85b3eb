"""The weights of a run that did best on the held-out examples, and when to stop for want of better ones."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from spinelift.errors import ConfigError
from spinelift.learn.loop.checkpoint import load_weights, save_weights
from spinelift.learn.loop.config import LoopConfig

BEST = "best.safetensors"


class Best:
    """Keeps the weights of the validation whose metric ``loop.keep_best`` is least; nothing if that is None.

    Use: ``update`` after each validation, end the run when ``stop``, put ``state`` into checkpoints and
    ``restore`` it, and ``load`` at the end. The ``main`` process alone writes the weights.
    """

    def __init__(self, loop: LoopConfig, out: Path, *, main: bool = True) -> None:
        self._main = main
        self._metric, self._patience, self._path = loop.keep_best, loop.patience, out / BEST
        self._value, self._without = math.inf, 0
        self._metrics: dict[str, float] = {}

    def update(self, metrics: Mapping[str, float], model: nn.Module) -> None:
        """Save the weights if they are better than all before; NaN is never better."""
        if self._metric is None:
            return
        if self._metric not in metrics:
            raise ConfigError(
                found=f"keep_best: {self._metric}",
                expected=f"a metric of the validation: {', '.join(metrics)}",
                do="Correct loop.keep_best.",
            )
        self._without += 1
        if metrics[self._metric] < self._value:
            self._value, self._without, self._metrics = metrics[self._metric], 0, dict(metrics)
            if self._main:
                save_weights(model.state_dict(), self._path)

    @property
    def stop(self) -> bool:
        """Whether the last ``loop.patience`` validations were no better."""
        return self._patience is not None and self._without >= self._patience

    @property
    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs, besides the file of the weights."""
        return {"value": self._value, "without": self._without, "metrics": self._metrics}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of a checkpoint."""
        self._value, self._without, self._metrics = state["value"], state["without"], state["metrics"]

    def load(self, model: nn.Module) -> dict[str, float]:
        """Load the best weights into the model; returns their validation, empty if there are none."""
        if self._metrics:
            load_weights(model, self._path)
        return self._metrics
