"""Learning-rate schedules, driven by the share of the run that is done (of its steps or its seconds)."""

import math

from spinelift.learn.loop.config import CosineSchedule, StepSchedule


def rate_factor(schedule: CosineSchedule | StepSchedule, *, progress: float, epoch: int) -> float:
    """Factor on the rate at the share ``progress`` 0..1 of the run, in ``epoch`` (from 0)."""
    if isinstance(schedule, StepSchedule):
        return float(schedule.factor ** (epoch // schedule.every_epochs))
    if progress < schedule.warmup:
        return max(progress / schedule.warmup, 0.01)
    along = (progress - schedule.warmup) / max(1 - schedule.warmup, 1e-9)
    return schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * min(along, 1.0))) / 2
