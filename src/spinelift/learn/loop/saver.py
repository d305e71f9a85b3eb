"""Weights and checkpoints written by a thread, while training goes on."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from spinelift.learn.loop import checkpoint


class Saver:
    """One write at a time; the end of the ``with`` block waits for the last. Errors are raised there."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def save(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Copy weights and state to host memory now, and write them soon."""
        self.wait()
        held = apply_to_collection(
            [dict(weights), dict(state)], Tensor, lambda t: t.detach().to("cpu", copy=True)
        )
        self._last = self._pool.submit(self._write, *held)

    def wait(self) -> None:
        """Return when everything is on disk."""
        if self._last is not None:
            self._last.result()

    def _write(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        checkpoint.save_weights(weights, self._out / checkpoint.WEIGHTS)
        checkpoint.save_checkpoint(state, self._out / checkpoint.CHECKPOINT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()
        self.wait()
