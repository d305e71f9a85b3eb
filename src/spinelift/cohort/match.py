"""Whether DXA and MRI fit each other better than those of other people of the build.

An overlap of 0.70 does not show that both are of one person: most pairs of two people reach it. The DXA of a
pair is compared with the MRIs of other people, and its MRI with their DXAs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import polars as pl

from spinelift.align.match import CentreLines, misfit

PANEL = 200
"""People with whom every pair is compared: those with the lowest hashes, so that new people change few."""
MIN_MATCH = 0.95
"""Share of other people who must fit worse; a pair with less gets a warning."""
BLOCK = 512
"""Pairs that are compared at a time."""


@dataclass(frozen=True)
class PairMatch:
    """``better``: other people who fit as well or better, of ``others``; the worse of both directions."""

    better: int
    others: int

    @property
    def share(self) -> float | None:
        """Share of other people who fit worse; None without others."""
        return 1 - self.better / self.others if self.others else None

    @property
    def warning(self) -> str:
        """Remark for the manifest; "" if the pair fits."""
        if self.share is None or self.share >= MIN_MATCH:
            return ""
        return (
            f"{self.better} of {self.others} other people fit this pair's DXA or MRI as well as its own "
            "partner does: check that both are of one person"
        )


def match_pairs(eids: Sequence[int], dxa: CentreLines, mri: CentreLines) -> list[PairMatch]:
    """Compare each of n pairs with up to ``PANEL`` other people; visits of one person are not compared."""
    people = np.array(eids)
    panel = _panel(people)
    out = []
    for first in range(0, len(people), BLOCK):
        block = slice(first, first + BLOCK)
        others = people[block, None] != people[panel]
        own = misfit(dxa.take(block), mri.take(block)).diagonal()[:, None]
        with_mri = misfit(dxa.take(block), mri.take(panel)) <= own
        with_dxa = own >= misfit(dxa.take(panel), mri.take(block)).T
        better = np.maximum((with_mri & others).sum(1), (with_dxa & others).sum(1))
        out += [PairMatch(int(b), int(o)) for b, o in zip(better, others.sum(1), strict=True)]
    return out


def _panel(people: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> list[int]:
    """First visits of the ``PANEL`` people with the lowest hashes."""
    visits = {int(eid): k for k, eid in reversed(list(enumerate(people)))}
    chosen = sorted(visits, key=lambda eid: blake2b(f"panel {eid}".encode(), digest_size=8).digest())
    return [visits[eid] for eid in chosen[:PANEL]]


def match_summary(manifest: pl.DataFrame) -> str:
    """A sentence about the kept pairs that other people fit better; "" if there are none."""
    count = len(manifest.filter(pl.col("kept") & (pl.col("pair_match") < MIN_MATCH)))
    if not count:
        return ""
    return f"{count} kept pairs fit other people as well as each other: see warnings in cohort.parquet"
