"""Which vertebra is which."""

from enum import IntEnum


class Vertebra(IntEnum):
    """The 17 vertebrae from T1 to L5, numbered 0 to 16 from head to feet.

    The number is the index into every array that has one entry a vertebra.
    """

    T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, L1, L2, L3, L4, L5 = range(17)
