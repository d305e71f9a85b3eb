"""Training, validation and test, and five folds: by person, balanced for scoliosis, stable for new people."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
FOLDS = 5


@dataclass(frozen=True)
class Place:
    """Split and fold of a person, and the stratum in which they were assigned."""

    split: str
    fold: int
    scoliosis: bool


def deal(people: Mapping[int, bool], before: Mapping[int, Place] | None = None) -> dict[int, Place]:
    """Splits and folds of ``people`` (person → scoliotic); people of ``before`` keep theirs.

    New people are assigned in the order of their hash, scoliotic ones and others separately, each to the
    split and the fold that lack most of their share. Shares are met to within one person a stratum.
    """
    out = dict(before or {})
    for stratum in (True, False):
        splits = Counter(p.split for p in out.values() if p.scoliosis == stratum)
        folds = Counter(p.fold for p in out.values() if p.scoliosis == stratum)
        new = [e for e, scoliosis in people.items() if scoliosis == stratum and e not in out]
        for eid in sorted(new, key=_shuffled):
            count = sum(splits.values()) + 1
            split = max(SHARES, key=lambda s: SHARES[s] * count - splits[s])
            fold = min(range(FOLDS), key=lambda f: folds[f])
            out[eid] = Place(split, fold, stratum)
            splits[split] += 1
            folds[fold] += 1
    return out


def _shuffled(eid: int) -> bytes:
    return blake2b(f"split {eid}".encode(), digest_size=8).digest()
