"""Bad slices at the ends of stations, and bodies that change fast there."""

import numpy as np

from spinelift.io.dixon.ends import drop_bad_ends
from spinelift.io.dixon.slab import Slab


def one_body_then_two_legs(z):
    """Slices [n, 56, 56]: a trunk that parts into two legs between 198 and 218 mm."""
    y, x = np.mgrid[:56, :56].astype(float)
    trunk = np.hypot((x - 27) / 18, (y - 28) / 12) < 1
    legs = (np.hypot(x - 39, y - 28) < 8) | (np.hypot(x - 14, y - 26) < 7)
    parted = np.clip((np.asarray(z) - 198) / 20, 0, 1)[:, None, None]
    body = 2 + 300 * (trunk * (1 - parted) + legs * parted)
    return (body * (1 + 0.2 * np.cos(x / 5))).astype(np.float32)


def slab(number, start, *, n=40, dz=4.5):
    z = start + dz * np.arange(n)
    coarse = one_body_then_two_legs(z) / 2
    empty = np.zeros((n, 1, 1), np.float32)
    return Slab(number, z, dz, empty, empty, np.ones((1, 1), bool), coarse.copy(), coarse.copy())


def neighbours():
    """Overlap 188 to 225 mm: the trunk parts in the upper station's last slices."""
    upper = slab(1, 225.0 - 4.5 * 39)
    return [upper, slab(2, 188.0)]


def test_where_the_body_changes_the_neighbour_confirms_it():
    upper, lower = neighbours()
    (kept,), (alone,) = drop_bad_ends([upper])  # nobody to ask: they look folded
    assert alone.values == {"head_slices": 0, "feet_slices": 4}
    assert len(kept.z) == 36
    both, findings = drop_bad_ends([upper, lower])
    assert findings == []
    assert [len(s.z) for s in both] == [40, 40]


def test_folded_slices_are_dropped_though_there_is_a_neighbour():
    upper, lower = neighbours()
    for part in (lower.coarse_fat, lower.coarse_water):
        part[:2] = 0.7 * part[:2] + 0.7 * np.roll(part[-2:], 22, axis=1)
    both, (finding,) = drop_bad_ends([upper, lower])
    assert (finding.station, finding.values["head_slices"]) == (2, 2)
    assert [len(s.z) for s in both] == [40, 38]


def test_dark_slices_are_dropped_whatever_the_neighbour_says():
    upper, lower = neighbours()
    for part in (upper.coarse_fat, upper.coarse_water):
        part[-2:] *= 0.3
    _, (finding,) = drop_bad_ends([upper, lower])
    assert finding.values == {"head_slices": 0, "feet_slices": 2}
