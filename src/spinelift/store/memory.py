"""Rows of pairs and scans in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from spinelift.geometry.arrays import Bool, Float32, Integers, UInt8


class Rows:
    """Rows in memory: a dataclass of arrays with the same number of rows."""

    eid: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.eid)

    def take(self, rows: Integers) -> Self:
        """The given rows, in that order."""
        return type(self)(**{name: array[rows] for name, array in vars(self).items()})

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """All rows of several parts."""
        if len(parts) == 1:
            return parts[0]
        return cls(**{name: np.concatenate([vars(p)[name] for p in parts]) for name in vars(parts[0])})


@dataclass(frozen=True)
class Pairs(Rows):
    """Crops and curves.

    ``image`` uint8 [n, 224, 224]; ``curves`` float32 [n, 6, 209] in crop px; ``mm_per_px`` float32 [n];
    ``eid`` int64 [n]; ``valid`` bool [n, 209]: rows whose curves are known. The others are a guess.
    """

    image: UInt8
    curves: Float32
    mm_per_px: Float32
    eid: NDArray[np.int64]
    valid: Bool


@dataclass(frozen=True)
class Scans(Rows):
    """Whole-body images on the canonical grid.

    ``image`` uint8 [n, 832, 320]; ``mask`` uint8 0/1 of the same shape; ``ends`` float32 [n, 2, 2], (row,
    col) of T1's upper and L5's lower endplate in canonical px; ``eid`` int64 [n].
    """

    image: UInt8
    mask: UInt8
    ends: Float32
    eid: NDArray[np.int64]


@dataclass(frozen=True)
class Laterals(Scans):
    """Lateral vertebral views on their canvas [320, 160]; the upper end is that of T5.

    ``line`` float32 [n, 320]: column of the centre line in each row, px; NaN where it is not seen.
    """

    line: Float32
