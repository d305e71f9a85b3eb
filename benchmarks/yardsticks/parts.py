"""The CT taken apart, with vertebrae for the levels that it does not show."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from benchmarks.yardsticks.volume import ct_spine, load_ct
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.ct.parts import Cloud, Parts, take_apart

HUMERI = (69, 70)


@lru_cache(maxsize=1)
def ct_parts() -> Parts:
    """Take the CT apart, without upper arms (about 5 s, then kept).

    L3 to L5, which the CT does not show whole, are L2, L1 and L2 enlarged and wedged anew.
    """
    found = ct_spine()
    parts = take_apart(load_ct(), found, leave_out=HUMERI)
    clouds, size, wedge = dict(parts.clouds), found.spine.size, morphometry.WEDGE
    for k in range(found.last + 1, N_LEVELS):
        like = found.last - (k - found.last + 1) % 2
        ratio = size[k] / size[like]
        points = clouds[like].points * ratio
        points[:, 2] *= 1 + 2 * (wedge[k] - wedge[like]) * np.clip(points[:, 1] / size[k, 1], -0.6, 1.0)
        mass = clouds[like].mass * ratio.prod()
        clouds[k] = Cloud(points.astype(np.float32), mass.astype(np.float32))
    return replace(parts, clouds=clouds)
