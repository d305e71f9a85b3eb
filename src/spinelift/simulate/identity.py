"""Numbers of simulated people, the random numbers that they are made from, and processes that make them.

A person is a function of the seed and the person's number alone.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import numpy as np

from spinelift.errors import ConfigError

T = TypeVar("T")
MAX_SEED = 10**10 - 1
"""Largest seed. It holds every unsigned 32-bit integer."""
MAX_PERSON = 10**7 - 1
"""Largest number of a person of one seed."""


def person_id(seed: int, person: int) -> int:
    """Participant number (EID) of a simulated person: ``(seed + 1) · 10⁷ + person``.

    It has 8 to 18 digits, so that it fits a signed 64-bit integer and cannot be an EID of UK Biobank, which
    has 7. No two people of any seeds share one.

    Raises
    ------
    ConfigError
        The seed or the person's number is out of range.
    """
    if not (0 <= seed <= MAX_SEED and 0 <= person <= MAX_PERSON):
        raise ConfigError(
            found=f"person {person} of seed {seed}",
            expected=f"a seed from 0 to {MAX_SEED} and people from 0 to {MAX_PERSON}",
            do="Choose another --seed, or fewer people.",
        )
    return (seed + 1) * (MAX_PERSON + 1) + person


def person_rng(seed: int, person: int) -> np.random.Generator:
    """The random numbers of a person's body and first examination."""
    return np.random.default_rng([seed, person])


def mri_rng(seed: int, person: int) -> np.random.Generator:
    """The random numbers of a person's second examination, independent of those of the first."""
    return np.random.default_rng([seed, person, 1])


def side_rng(seed: int, person: int) -> np.random.Generator:
    """The random numbers of how a person lies on the side in the lateral view, independent of the others."""
    return np.random.default_rng([seed, person, 2])


def in_order(make: Callable[[int], T], numbers: Iterable[int], workers: int) -> Iterator[T]:
    """``make`` of each number, in order; several ``workers`` are processes."""
    if workers <= 1:
        yield from map(make, numbers)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(make, numbers, chunksize=2)
