"""The training loop of all networks: time budget, exact resume, averaged weights."""

from spinelift.learn.loop.config import CosineSchedule, LoopConfig, OptimConfig, StepSchedule
from spinelift.learn.loop.loop import Task, fit

__all__ = ["CosineSchedule", "LoopConfig", "OptimConfig", "StepSchedule", "Task", "fit"]
