"""What is trained: a network with its examples, augmentation, loss and validation."""

from typing import Protocol

from torch import Tensor, nn

from spinelift.learn.loop.examples import Examples
from spinelift.learn.random import Random

Batch = tuple[Tensor, ...]
"""Tensors on the device, [B, ...] each."""


class Task(Protocol):
    """A network with its examples, augmentation, loss and validation.

    ``batch`` and ``losses`` run on the device: shapes must not depend on values of tensors, and no value may
    be read.
    """

    @property
    def model(self) -> nn.Module:
        """The network."""

    @property
    def examples(self) -> Examples:
        """The training examples."""

    def batch(self, rows: Batch, random: Random, progress: float) -> Batch:
        """Augmented examples, at share ``progress`` 0..1 of a run."""

    def losses(self, batch: Batch, random: Random) -> dict[str, Tensor]:
        """Losses of augmented examples; ``loss`` is minimised."""

    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Metrics of a model on at most ``limit`` held-out examples."""


class Step(nn.Module):
    """A task's losses as a module: what is given to DDP and to mixed precision."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._losses = task.losses

    def forward(self, batch: Batch, random: Random) -> dict[str, Tensor]:
        """Losses of a batch."""
        return self._losses(batch, random)
