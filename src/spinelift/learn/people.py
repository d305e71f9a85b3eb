"""The people that the networks of a run or bundle have seen: their hashes, in a file beside the weights."""

import json
from pathlib import Path

from spinelift.bundle import PEOPLE
from spinelift.bundle.card import CARD_NAME
from spinelift.errors import ConfigError
from spinelift.evaluate.people import hash_people, join_people, refuse_seen
from spinelift.geometry.arrays import Integers

REAL = "real_people"
"""Key of a card's details: how many people of the training are real."""


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
