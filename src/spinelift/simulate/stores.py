"""Training stores straight from the simulator, many people side by side, resumable.

A person is a function of the seed and the person's number alone: any number of workers makes the same
people, and a store that was cut short goes on where it ends.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinelift.progress import Advance
from spinelift.simulate.body.body import sample_body, sample_other_body
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.dxa.scan import canonical_truth, take_scan
from spinelift.simulate.dxa.xray import sample_other_scanner, sample_scanner
from spinelift.store.rows import PairStore, ScanStore


def person_rng(seed: int, person: int) -> np.random.Generator:
    """The random numbers of one person."""
    return np.random.default_rng([seed, person])


def person_id(seed: int, person: int) -> int:
    """Number of a person among those of all seeds."""
    return seed * 10_000_000 + person


def make_pair(seed: int, other: bool, person: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], float]:
    """Crop uint8 [224, 224], curves [6, 209] in crop px, and mm per px of one person.

    ``other`` people and scanners are unlike those of training.
    """
    rng = person_rng(seed, person)
    sample, scanner = (sample_other_body, sample_other_scanner) if other else (sample_body, sample_scanner)
    body = sample(ShapePrior.load(), rng, whole=False)
    scan = take_scan(body, rng, whole=False, scanner=scanner(rng))
    curves = scan.curves
    image = np.clip(np.round(curves.frame.crop(scan.bone)), 0, 255).astype(np.uint8)
    return image, curves.px.astype(np.float32), curves.frame.mm_per_px


def make_scan(seed: int, person: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Whole-body image, spine mask and ends on the canonical grid."""
    rng = person_rng(seed, person)
    body = sample_body(ShapePrior.load(), rng)
    return canonical_truth(take_scan(body, rng))


def fill_pairs(
    store: PairStore,
    *,
    people: int,
    seed: int,
    workers: int,
    advance: Advance,
    other: bool = False,
) -> None:
    """Extend a store to ``people`` rows; ``advance`` is called with the number of people added."""
    with store:
        for person, (image, curves, mm_per_px) in _people(
            partial(make_pair, seed, other), len(store), people, workers
        ):
            store.append(image=image, curves=curves, mm_per_px=mm_per_px, eid=person_id(seed, person))
            advance(1)


def fill_scans(store: ScanStore, *, people: int, seed: int, workers: int, advance: Advance) -> None:
    """Extend a store of whole-body scans to ``people`` rows; ``advance`` as in :func:`fill_pairs`."""
    with store:
        for person, (image, mask, ends) in _people(partial(make_scan, seed), len(store), people, workers):
            store.append(image=image, mask=mask, ends=ends, eid=person_id(seed, person))
            advance(1)


def _people(make: Callable[[int], Any], start: int, stop: int, workers: int) -> Iterator[tuple[int, Any]]:
    numbers = range(start, stop)
    if workers <= 1:
        yield from ((n, make(n)) for n in numbers)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from zip(numbers, pool.map(make, numbers, chunksize=8), strict=True)
