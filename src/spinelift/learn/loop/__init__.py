"""The training loop that the regressor and the segmenter share: time budget, resume, averaged weights."""

from spinelift.learn.loop.config import CosineSchedule, LoopConfig, OptimConfig, StepSchedule
from spinelift.learn.loop.loop import Task, fit

__all__ = ["CosineSchedule", "LoopConfig", "OptimConfig", "StepSchedule", "Task", "fit"]
