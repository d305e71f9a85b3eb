"""What the networks of a run or bundle have seen: hashes of people, kept beside the weights, and donors."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from spinelift.bundle import PEOPLE
from spinelift.bundle.card import CARD_NAME
from spinelift.errors import ConfigError
from spinelift.evaluate.people import hash_people, join_people, refuse_seen
from spinelift.geometry.arrays import Integers
from spinelift.learn.loop.train import RECORD
from spinelift.store.rows import RowStore

REAL = "real_people"
"""Key of a card's details: how many people of the training are real."""
DONORS = "donors"
"""Key of a store's description and of ``run.json``: whose vertebrae simulated people have."""


def donors_of_training(stores: Iterable[RowStore[Any]], init_from: str | None) -> list[str]:
    """Names of the donors of the stores' people, and of those that the weights ``init_from`` have seen."""
    names: set[str] = set()
    for store in stores:
        names |= set(cast(list[str], store.about.get(DONORS, [])))
    if init_from and (record := Path(init_from).parent / RECORD).is_file():
        names |= set(json.loads(record.read_bytes()).get(DONORS, []))
    return sorted(names)


def people_of_training(eid: Integers, held_out: Integers, init_from: str | None) -> bytes:
    """Hashes of the people ``eid`` of the data, and of those that the weights ``init_from`` have seen.

    A :class:`ConfigError` says that some of them are also among the people ``held_out``.
    """
    before = people_beside(Path(init_from).parent) if init_from else b""
    seen = join_people(hash_people(eid), before)
    refuse_seen(held_out, seen, "training and validation")
    return seen


def people_beside(folder: Path) -> bytes:
    """Hashes in the folder of a run or of an unpacked bundle; empty if it has no record of people.

    A :class:`ConfigError` says that its card counts real people, whose hashes were left out.
    """
    if (folder / PEOPLE).is_file():
        return (folder / PEOPLE).read_bytes()
    card = folder / CARD_NAME
    if card.is_file() and json.loads(card.read_bytes())["training"].get("details", {}).get(REAL):
        raise ConfigError(
            found=f"a bundle that was trained on real people, without {PEOPLE}",
            expected="a record of who they are, so that they are not tested on",
            do=f"Give the bundle with its {PEOPLE}, or the run that it was made from.",
        )
    return b""
