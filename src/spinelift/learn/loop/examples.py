"""Training examples as tensors: on the device where they fit, else in host memory, moved batch by batch."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

FREE_SHARE = 0.5
"""Share of a device's free memory that examples may take."""


class Examples:
    """Rows of several arrays [n, ...]; the device that holds them is ``device``.

    ``rows`` are the rows that make an epoch; a row may be named several times. Default: each row once.
    ``people`` is the number of people in them.
    """

    def __init__(self, *arrays: NDArray[Any], people: int, rows: NDArray[Any] | None = None) -> None:
        self.people = people
        self._arrays = [torch.from_numpy(array) for array in arrays]
        self._rows = None if rows is None else torch.from_numpy(rows)
        self.device = self._target = torch.device("cpu")

    def __len__(self) -> int:
        return len(self._arrays[0] if self._rows is None else self._rows)

    def place(self, device: torch.device) -> None:
        """Choose where the batches go, and move all rows there if they fit."""
        self._target = device
        size = sum(array.nbytes for array in self._arrays)
        if device.type != "cuda" or size <= FREE_SHARE * torch.cuda.mem_get_info(device)[0]:
            self.device = device
            self._arrays = [array.to(device) for array in self._arrays]
            self._rows = None if self._rows is None else self._rows.to(device)

    def take(self, index: Tensor) -> tuple[Tensor, ...]:
        """Rows ``index`` [B], a tensor on ``device``, of every array; on the device of the batches."""
        rows = index if self._rows is None else self._rows[index]
        taken = self.gather(rows)
        if self.device == self._target:
            return tuple(taken)
        return tuple(part.pin_memory().to(self._target, non_blocking=True) for part in taken)

    def gather(self, rows: Tensor) -> list[Tensor]:
        """Rows of every array."""
        return [array[rows] for array in self._arrays]

    def put(self, row: int, *values: NDArray[Any]) -> None:
        """Replace a row of every array."""
        for array, value in zip(self._arrays, values, strict=True):
            new = torch.from_numpy(value)
            array[row].copy_(new.pin_memory() if array.is_cuda else new, non_blocking=True)

    def advance(self, images: int) -> float:
        """Called before each batch, after ``images`` images; returns the seconds that were waited."""
        return 0.0
