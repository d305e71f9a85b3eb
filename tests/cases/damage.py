"""Ways in which a file can be broken."""

import numpy as np


def cut(data, at):
    return data[: int(at * len(data))]


def flipped(data, at):
    """One bit is another."""
    out = bytearray(data)
    if out:
        k = min(int(at * len(out)), len(out) - 1)
        out[k] ^= 1 << (k % 8)
    return bytes(out)


def noisy(data, at):
    """From some byte on, 64 bytes are noise."""
    out, k = bytearray(data), int(at * len(data))
    out[k : k + 64] = np.random.default_rng(k).bytes(len(out[k : k + 64]))
    return bytes(out)


def noise(data, at):
    return np.random.default_rng(int(at * 100)).bytes(len(data))


DAMAGE = {function.__name__: function for function in (cut, flipped, noisy, noise)}
