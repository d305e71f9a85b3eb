"""Random numbers of a training step: tensors made on a device, and choices that Python code makes."""

import random

import numpy as np
import torch
from torch import Tensor


class Random:
    """Two generators with one seed: of tensors on a device, and ``host`` for numbers that Python needs.

    A number that decides a shape comes from ``host``, so that the device is never waited for.
    """

    def __init__(self, device: torch.device | str = "cpu", *seed: int) -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device)
        self.host = random.Random()
        self.seed(*seed or (0,))

    def seed(self, *numbers: int) -> None:
        """Begin the stream of these numbers, such as those of a run, a step and a process."""
        tensors, host = np.random.SeedSequence(numbers).generate_state(2)
        self.generator.manual_seed(int(tensors))
        self.host.seed(int(host))

    def rand(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform random numbers."""
        numbers = torch.rand(shape, generator=self.generator, device=self.device)
        return numbers * (high - low) + low

    def randn(self, *shape: int) -> Tensor:
        """Standard normal random numbers."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def randint(self, low: int, high: int, *shape: int) -> Tensor:
        """Integers from ``low`` to ``high`` - 1."""
        return torch.randint(low, high, shape, generator=self.generator, device=self.device)

    def each(self, n: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """One uniform random number an image [n, 1, 1, 1]."""
        return self.rand(n, 1, 1, 1, low=low, high=high)

    def some(self, n: int, share: float) -> Tensor | None:
        """Indices of a random ``share`` of n images; None if there are none.

        Their number is ``share`` · n, rounded up or down at random, so that its mean is exact.
        """
        count = int(share * n + self.host.random())
        return self.rand(n).argsort()[:count] if count else None
