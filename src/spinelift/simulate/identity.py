"""Numbers of simulated people, the random numbers that they are made from, and processes that make them.

A person is a function of the seed and the person's number alone.
"""

import itertools
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

import numpy as np

from spinelift.errors import ConfigError, WorkerDiedError

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


def stream(make: Callable[[int], T], first: int, workers: int) -> Iterator[T]:
    """``make`` of the numbers from ``first`` on, in order and without end, in ``workers`` processes.

    A few people are made ahead. The processes end when the generator is closed, and when this process dies;
    they are new ones, not copies of this one, which may hold a GPU. A :class:`WorkerDiedError` says that one
    of them died.
    """
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        ahead = deque(pool.submit(make, first + k) for k in range(2 * workers))
        for number in itertools.count(first + len(ahead)):
            try:
                made = ahead.popleft().result()
                ahead.append(pool.submit(make, number))
            except BrokenProcessPool as error:
                raise WorkerDiedError(
                    found="a process of the simulation that died",
                    expected="processes that run as long as the training",
                    do="Free some memory or use fewer --workers, and resume.",
                ) from error
            yield made
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """In a worker: leave interrupts to the parent, and end when it does, however it ends."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()
