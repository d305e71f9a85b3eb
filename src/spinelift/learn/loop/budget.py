"""The length of a run in steps: given, or planned once from a budget in seconds and the speed measured."""

from typing import Any

from spinelift.learn.loop.config import LoopConfig

MEASURED_SHARE, MEASURED_STEPS = 0.02, 4
"""Share of a budget in seconds, and least number of steps, in which the speed is measured."""


class Budget:
    """``total`` is the number of steps, None until it is known.

    A budget in seconds is turned into a number of steps after its first seconds. From then on nothing depends
    on the clock, so that a resumed run is the run that never stopped. The first step is not timed: it may
    compile.
    """

    def __init__(self, loop: LoopConfig, per_epoch: int) -> None:
        limits = [n for n in (loop.steps, loop.epochs and loop.epochs * per_epoch) if n]
        self._most = min(limits) if limits else None
        self._seconds = loop.max_seconds
        self._first = 0.0
        self.total = self._most if self._seconds is None else None

    @property
    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"total": self.total, "most": self._most, "seconds": self._seconds}

    def resume(self, state: dict[str, Any], step: int, seconds: float) -> None:
        """Keep the plan of a checkpoint; with other limits make one from its speed."""
        if (state["most"], state["seconds"]) == (self._most, self._seconds):
            self.total = state["total"]
        elif self._seconds is not None:
            self._plan(step, seconds, seconds / max(step, 1))

    def measure(self, step: int, seconds: float) -> None:
        """Plan, if enough has been seen after ``step`` steps and ``seconds``."""
        assert self._seconds is not None
        if step == 1:
            self._first = seconds
        enough = step >= MEASURED_STEPS and seconds >= MEASURED_SHARE * self._seconds
        if enough or (self._most is not None and step >= self._most):
            self._plan(step, seconds, (seconds - self._first) / max(step - 1, 1))

    def _plan(self, step: int, seconds: float, per_step: float) -> None:
        assert self._seconds is not None
        left = max(0.0, self._seconds - seconds) / max(per_step, 1e-9)
        self.total = min(step + round(left), self._most or step + round(left))

    def progress(self, step: int) -> float:
        """Share of the run that is done, 0..1; 0 while the speed is measured."""
        return 0.0 if self.total is None else min(1.0, step / max(self.total, 1))
