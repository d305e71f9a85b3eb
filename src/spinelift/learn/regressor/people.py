"""People simulated while training: a ring buffer on the training device, filled by worker processes."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Self

import numpy as np

from spinelift.geometry import CROP_SIZE, SPINE_ROWS
from spinelift.geometry.arrays import Float32, Integers, UInt8
from spinelift.learn.loop.examples import Examples
from spinelift.learn.regressor.config import SimulatedConfig
from spinelift.progress import progress
from spinelift.simulate.identity import MAX_PERSON, person_id, stream
from spinelift.simulate.stores import make_pair


class SimulatedPeople(Examples):
    """The last ``config.buffer`` people of the seed; person k is in row k modulo ``buffer``.

    The first ``buffer`` people enter before training, then one each ``images_per_person`` images. Training
    waits for a person who is late, so that what it sees never depends on the speed of the workers, and a
    resumed run makes the people of its buffer again.
    """

    def __init__(self, config: SimulatedConfig) -> None:
        n = config.buffer
        image = np.zeros((n, CROP_SIZE, CROP_SIZE), np.uint8)
        curves, valid = np.zeros((n, 6, SPINE_ROWS), np.float32), np.ones((n, SPINE_ROWS), np.bool_)
        super().__init__(image, curves, np.zeros(n, np.float32), valid, people=0)
        self._config = config
        self._stream: Iterator[tuple[UInt8, Float32, float]] | None = None

    def advance(self, images: int) -> float:
        """Let everyone enter whose turn has come after ``images`` images; returns the seconds waited."""
        began, config = time.monotonic(), self._config
        due = config.buffer + int(images / config.images_per_person)
        if self._stream is None:
            self.people = due - config.buffer
            make = partial(make_pair, config.seed, foreign=config.foreign_bodies, donors=config.donors)
            self._stream = stream(make, self.people, config.workers)
            with progress("simulated people", config.buffer) as advance:
                while self.people < due:
                    self._enter(self._stream)
                    advance(1)
        if self.people >= due:
            return 0.0
        while self.people < due:
            self._enter(self._stream)
        return time.monotonic() - began

    def _enter(self, people: Iterator[tuple[UInt8, Float32, float]]) -> None:
        image, curves, mm_per_px = next(people)
        valid = np.ones(SPINE_ROWS, np.bool_)
        self.put(self.people % self._config.buffer, image, curves, np.array(mm_per_px, np.float32), valid)
        self.people += 1

    @property
    def eid(self) -> Integers:
        """Numbers of all people who have entered [n]."""
        return person_id(self._config.seed, 0) + np.arange(self.people)

    def first_curves(self) -> Float32:
        """Curves [n, 6, 209] of the people who enter before training."""
        self.advance(0)
        return np.asarray(self._arrays[1].numpy())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            self._stream.close()  # type: ignore[attr-defined]


def of_seed(eid: Integers, seed: int) -> Integers:
    """Those of the people ``eid`` [n] who are simulated with a seed."""
    first = person_id(seed, 0)
    return eid[(eid >= first) & (eid <= first + MAX_PERSON)]
