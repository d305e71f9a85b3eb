"""Training stores straight from the simulator, in several processes, resumable.

Any number of workers makes the same people, and a store that was cut short is continued where it ends.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from spinelift.geometry.arrays import Float32, UInt8
from spinelift.progress import Advance
from spinelift.simulate.body.body import FOREIGN_SHARE, sample_body, sample_other_body
from spinelift.simulate.body.posture import sample_side_posture
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.donors.choice import ALL_SHIPPED, Donors
from spinelift.simulate.dxa.scan import canonical_truth, lateral_truth, take_lateral, take_scan
from spinelift.simulate.dxa.xray import sample_other_scanner, sample_scanner
from spinelift.simulate.identity import T, in_order, person_id, person_rng, side_rng
from spinelift.store.rows import LateralStore, PairStore, ScanStore


def make_pair(
    seed: int,
    person: int,
    *,
    other: bool = False,
    foreign: float = FOREIGN_SHARE,
    donors: Donors = ALL_SHIPPED,
) -> tuple[UInt8, Float32, float]:
    """Crop uint8 [224, 224], curves [6, 209] in crop px, and mm per px of one person.

    A share ``foreign`` of people have the body of another spine. ``other`` people and scanners are unlike
    those of training; all of them have such a body.
    """
    rng = person_rng(seed, person)
    prior, library = ShapePrior.load(), donors.load()
    if other:
        body = sample_other_body(prior, rng, whole=False, donors=library)
        scanner = sample_other_scanner(rng)
    else:
        body = sample_body(prior, rng, whole=False, foreign=foreign, donors=library)
        scanner = sample_scanner(rng)
    scan = take_scan(body, rng, whole=False, scanner=scanner)
    curves = scan.curves
    image = np.clip(np.round(curves.frame.crop(scan.bone)), 0, 255).astype(np.uint8)
    return image, curves.px.astype(np.float32), curves.frame.mm_per_px


def make_scan(seed: int, person: int, donors: Donors = ALL_SHIPPED) -> tuple[UInt8, UInt8, Float32]:
    """Whole-body image, spine mask and ends on the canonical grid."""
    rng = person_rng(seed, person)
    body = sample_body(ShapePrior.load(), rng, donors=donors.load())
    return canonical_truth(take_scan(body, rng))


def make_lateral(
    seed: int, person: int, donors: Donors = ALL_SHIPPED
) -> tuple[UInt8, UInt8, Float32, Float32]:
    """Lateral view, mask of the column, ends and centre line on their canvas."""
    rng = person_rng(seed, person)
    body = sample_body(ShapePrior.load(), rng, whole=False, donors=donors.load())
    return lateral_truth(take_lateral(body, rng, sample_side_posture(side_rng(seed, person))))


def fill_pairs(
    store: PairStore,
    *,
    people: int,
    seed: int,
    workers: int,
    advance: Advance,
    other: bool = False,
    foreign: float = FOREIGN_SHARE,
    donors: Donors = ALL_SHIPPED,
) -> None:
    """Extend a store to ``people`` rows of `make_pair`; ``advance`` gets the number of people added."""
    with store:
        make = partial(make_pair, seed, other=other, foreign=foreign, donors=donors)
        rows = _people(make, seed, range(len(store), people), workers)
        for eid, (image, curves, mm_per_px) in rows:
            store.append(image=image, curves=curves, mm_per_px=mm_per_px, eid=eid)
            advance(1)


def fill_scans(
    store: ScanStore,
    *,
    people: int,
    seed: int,
    workers: int,
    advance: Advance,
    donors: Donors = ALL_SHIPPED,
) -> None:
    """Extend a store of whole-body scans to ``people`` rows; ``advance`` as in :func:`fill_pairs`."""
    with store:
        rows = _people(partial(make_scan, seed, donors=donors), seed, range(len(store), people), workers)
        for eid, (image, mask, ends) in rows:
            store.append(image=image, mask=mask, ends=ends, eid=eid)
            advance(1)


def fill_laterals(
    store: LateralStore,
    *,
    people: int,
    seed: int,
    workers: int,
    advance: Advance,
    donors: Donors = ALL_SHIPPED,
) -> None:
    """Extend a store of lateral views to ``people`` rows; ``advance`` as in :func:`fill_pairs`."""
    with store:
        rows = _people(partial(make_lateral, seed, donors=donors), seed, range(len(store), people), workers)
        for eid, (image, mask, ends, line) in rows:
            store.append(image=image, mask=mask, ends=ends, line=line, eid=eid)
            advance(1)


def _people(make: Callable[[int], T], seed: int, numbers: range, workers: int) -> Iterator[tuple[int, T]]:
    """EID and result of each person, in order; refuses numbers out of range before the first is made."""
    yield from zip([person_id(seed, n) for n in numbers], in_order(make, numbers, workers), strict=True)
