"""Which people a network has seen, as hashes: people who judge it must not be among them.

The hash of a person is BLAKE2b of the number, 8 bytes, whose last bit says whether the person is real. A file
of hashes says who was in training to whoever knows the numbers, and numbers can be tried: it is as
confidential as a list of them.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from spinelift.errors import ConfigError
from spinelift.geometry.arrays import Integers

LAST_PARTICIPANT = 9_999_999
"""Largest participant number of UK Biobank; those of simulated people have 8 digits or more."""


def hash_people(eid: Integers) -> bytes:
    """Hashes of the people ``eid`` [n], sorted, each once: 8 bytes a person."""
    digests = {e: blake2b(b"person %d" % e, digest_size=8).digest() for e in np.unique(eid).tolist()}
    return join_people(*(d[:-1] + bytes([d[-1] & 254 | (e <= LAST_PARTICIPANT)]) for e, d in digests.items()))


def join_people(*seen: bytes) -> bytes:
    """Hashes of all people of several files of hashes."""
    return np.unique(_read(b"".join(seen))).astype(">u8").tobytes()


def count_people(seen: bytes) -> tuple[int, int]:
    """How many people there are, and how many of them are real."""
    return len(_read(seen)), int((_read(seen) & np.uint64(1)).sum())


def refuse_seen(eid: Integers, seen: bytes, where: str) -> None:
    """Raise a :class:`ConfigError` if any of the people ``eid`` [n] is among ``seen``.

    ``where`` completes "12 people who are both in": "training and test".
    """
    if count := int(np.isin(_read(hash_people(eid)), _read(seen)).sum()):
        raise ConfigError(
            found=f"{count} people who are both in {where}",
            expected="different people",
            do="Give another store: of another split or fold, or simulated with another --seed.",
        )


def _read(seen: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(seen, ">u8").astype(np.uint64)
