"""Averaged weights, the optimiser and its rate."""

import copy
import math

import torch
from torch import nn

from spinelift.learn.loop.config import CosineSchedule, OptimConfig, StepSchedule


class Ema:
    """Exponential moving average of weights and buffers, in a copy of the model.

    The decay at step n is min(decay, (1 + n) / (10 + n)), so that the initial weights are soon forgotten.
    Counters are copied. With a decay of 0 it is the model itself. ``torch.optim.swa_utils.AveragedModel``
    averages counters and takes the first update as a whole.
    """

    def __init__(self, model: nn.Module, decay: float, *, updates: int = 0) -> None:
        self.decay, self.updates = decay, updates
        self.model = copy.deepcopy(model).eval().requires_grad_(False) if decay else model
        pairs = zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        both = [pair for pair in pairs if decay]
        self._means, self._now = ([p[k] for p in both if p[0].is_floating_point()] for k in (0, 1))
        self._counters = [pair for pair in both if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Add the model's current weights to the average."""
        self.updates += 1
        if self._means:
            keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
            torch._foreach_lerp_(self._means, self._now, 1 - keep)
        for mean, now in self._counters:
            mean.copy_(now)


def rate_factor(schedule: CosineSchedule | StepSchedule, *, progress: float, epoch: int) -> float:
    """Factor on the rate in ``epoch`` (from 0), at the share ``progress`` 0..1 of a run."""
    if isinstance(schedule, StepSchedule):
        return float(schedule.factor ** (epoch // schedule.every_epochs))
    if progress < schedule.warmup:
        return max(progress / schedule.warmup, 0.01)
    along = (progress - schedule.warmup) / max(1 - schedule.warmup, 1e-9)
    return schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * min(along, 1.0))) / 2


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW with weight decay on matrices and kernels only (Adam if the decay is 0), one kernel a step."""
    params = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in params if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.rate, betas=config.betas, fused=True)
