"""What one input is, how it is read, and how the result is judged."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PERSON = "Zzyzx"
"""Stands in every text field of a person; it must not appear in a message."""


@dataclass(frozen=True)
class Case:
    """One input.

    ``read`` reads it. ``check`` takes the result and says what is wrong with it, "" if nothing is known
    to be. With ``must_read`` a refusal is wrong too: the input means the same as a valid one.
    """

    what: str
    read: Callable[[], Any]
    check: Callable[[Any], str]
    must_read: bool = False


Maker = Callable[[np.random.Generator, Path], Case]
"""Makes a case of a kind, with its files in an empty folder."""


def differs(what: str, found: Any, expected: Any, tolerance: float = 0.0) -> str:
    """Say whether two arrays differ."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        return f"{what} of shape {found.shape}, not {expected.shape}"
    if not np.isfinite(found).all():
        return f"{what} that is not finite"
    far = float(np.abs(found.astype(np.float64) - expected).max(initial=0))
    return f"{what} differs by {far:.4g}" if far > tolerance else ""
