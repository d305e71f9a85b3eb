"""The training loop that the regressor and the segmenter share: time budget, resume, averaged weights."""

from spinelift.training.config import CosineSchedule, LoopConfig, OptimConfig, StepSchedule
from spinelift.training.loop import Task, fit

__all__ = ["CosineSchedule", "LoopConfig", "OptimConfig", "StepSchedule", "Task", "fit"]
