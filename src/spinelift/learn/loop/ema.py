"""Averaged weights."""

import copy

import torch
from torch import nn


class Ema:
    """Exponential moving average of weights and buffers, in a copy of the model.

    The decay at step n is min(decay, (1 + n) / (10 + n)), so that the initial weights are soon forgotten.
    Counters are copied. ``torch.optim.swa_utils.AveragedModel`` has neither: it averages counters and takes
    the first update as a whole.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Add the model's current weights to the average."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mean, now in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)
