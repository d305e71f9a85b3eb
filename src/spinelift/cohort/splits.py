"""Training, validation and test, and five folds: by person, balanced for scoliosis, stable for new people."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from spinelift.errors import ConfigError

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
    split that lacks most of its share, and to the fold that has fewest of that split. Shares are met to
    within one person a stratum, and every split is spread evenly over the folds.
    """
    out = dict(before or {})
    for stratum in (True, False):
        dealt = [p for p in out.values() if p.scoliosis == stratum]
        splits, folds = Counter(p.split for p in dealt), Counter(p.fold for p in dealt)
        cells = Counter((p.split, p.fold) for p in dealt)
        new = [e for e, scoliosis in people.items() if scoliosis == stratum and e not in out]
        for eid in sorted(new, key=_shuffled):
            count = sum(splits.values()) + 1
            split = max(SHARES, key=lambda s: SHARES[s] * count - splits[s])
            fold = min(range(FOLDS), key=lambda f: (cells[split, f], folds[f]))
            out[eid] = Place(split, fold, stratum)
            splits[split] += 1
            folds[fold] += 1
            cells[split, fold] += 1
    return out


def parse_folds(text: str) -> set[int]:
    """Folds written as ``0``, ``1-4`` or ``0,2-3``; raises ConfigError if one does not exist."""
    folds: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            folds |= set(range(int(first), int(last or first) + 1))
    except ValueError:
        folds = set()
    if not folds or not folds <= set(range(FOLDS)):
        raise ConfigError(
            found=f"folds {text}", expected=f"numbers from 0 to {FOLDS - 1}", do="Write 0, 1-4 or 0,2-3."
        )
    return folds


def _shuffled(eid: int) -> bytes:
    return blake2b(f"split {eid}".encode(), digest_size=8).digest()
