"""Damage of bytes that knows nothing of their format, and values at the limits of their types."""

import struct
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
TEXTS = ("nan", "inf", "-inf", "1e38", "-1e38", "1e999", "1e-45", "-0", "0", "", " ", "abc", "1,5", "0x10",
         "2147483648", "-1", "9" * 40, "1\\2\\3\\4", "\\", "\x00", "²", "N/A")  # fmt: skip
"""Texts where a number belongs."""
NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e38, -1e38, 1e-45, 3.4e38, 2.0**31, 2.0**63, float("nan"), float("inf"))
"""Floating point numbers at limits."""
WHOLE = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 32, 64, 127, 128, 255, 256, 4096, 32767, 32768, 65535)
"""Whole numbers of 16 bits at limits."""
WORDS = (
    *(struct.pack("<H", value) for value in WHOLE),
    *(struct.pack(order + "I", v) for order in "<>" for v in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
    *(struct.pack("<f", value) for value in NUMBERS),
)


def pick(rng: np.random.Generator, values: Sequence[T]) -> T:
    """One of some values."""
    return values[int(rng.integers(len(values)))]


def damage(rng: np.random.Generator, data: bytes, other: bytes, reach: int | None = None) -> bytes:
    """Bytes after one to four edits before the offset ``reach``; ``other`` is a file to splice with."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        end = max(min(len(out), reach or len(out)), 1)
        at, length = int(rng.integers(end)), int(rng.integers(1, 65))
        match pick(rng, ("flip", "flip", "byte", "byte", "word", "word", "cut", "splice", "repeat", "drop",
                         "zero", "swap")):  # fmt: skip
            case "flip" if out:
                out[at] ^= 1 << int(rng.integers(8))
            case "byte":
                out[at : at + 1] = rng.bytes(1)
            case "word":
                word = pick(rng, WORDS)
                out[at : at + len(word)] = word
            case "cut":
                del out[int(rng.integers(len(out) + 1)) :]
            case "splice":
                from_at = int(rng.integers(len(other)))
                out[at:] = other[from_at:]
            case "repeat":
                out[at:at] = out[at : at + length] * int(rng.integers(1, 40))
            case "drop":
                del out[at : at + length]
            case "zero":
                out[at : at + length] = bytes(len(out[at : at + length]))
            case "swap":
                to = int(rng.integers(end))
                out[at : at + length], out[to : to + length] = out[to : to + length], out[at : at + length]
    return bytes(out)


def mutate_tree(rng: np.random.Generator, tree: object) -> object:
    """A document of mappings and lists after one change of a leaf, a key or a branch."""
    bad = (*TEXTS, *NUMBERS, *WHOLE, None, True, [], {}, [[]], -1, 2**31, 2**63, 10**30, "x" * 10_000)
    if isinstance(tree, dict) and tree and rng.random() < 0.9:
        key = pick(rng, list(tree))
        match int(rng.integers(10)):
            case 0:
                return {k: v for k, v in tree.items() if k != key}
            case 1:
                return {**tree, pick(rng, ("extra", "", "__class__", key + "x")): pick(rng, bad)}
            case 2:
                return {**tree, key: pick(rng, bad)}
            case 3:
                return {**tree, key: tree[pick(rng, list(tree))]}
            case _:
                return {**tree, key: mutate_tree(rng, tree[key])}
    if isinstance(tree, list) and tree and rng.random() < 0.9:
        at = int(rng.integers(len(tree)))
        match int(rng.integers(6)):
            case 0:
                return tree[:at] + tree[at + 1 :]
            case 1:
                return [*tree, tree[at]]
            case 2:
                return tree[::-1]
            case _:
                return [*tree[:at], mutate_tree(rng, tree[at]), *tree[at + 1 :]]
    return pick(rng, bad)
