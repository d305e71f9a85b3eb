"""Which vertebra is which."""

from enum import IntEnum


class Vertebra(IntEnum):
    """The 17 vertebrae from T1 to L5, numbered 0 to 16 from head to feet.

    The number is the index into every array that has one entry a vertebra.
    """

    T1 = 0
    T2 = 1
    T3 = 2
    T4 = 3
    T5 = 4
    T6 = 5
    T7 = 6
    T8 = 7
    T9 = 8
    T10 = 9
    T11 = 10
    T12 = 11
    L1 = 12
    L2 = 13
    L3 = 14
    L4 = 15
    L5 = 16
