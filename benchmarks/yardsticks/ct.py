"""Yardstick 1: the real chest CT projected as a DXA, through the simulator's physics and tone.

Its field of view ends within L3: rows below L2's lower endplate have no truth and, in the picture, no body.
The crop lies as if the spine went on to L5 as the shape prior expects.
"""

import numpy as np

from benchmarks.yardsticks.case import YardstickCase, photograph
from benchmarks.yardsticks.volume import ct_spine, load_ct
from spinelift.simulate.ct.project import project_volume, trunk_view
from spinelift.simulate.dxa.xray import acquire, sample_scanner


def ct_cases(*, settings: int = 12, seed: int = 11) -> list[YardstickCase]:
    """The CT under ``settings`` random scanner settings; all are one person."""
    volume, found = load_ct(), ct_spine()
    cases = []
    for k in range(settings):
        rng = np.random.default_rng([seed, k])
        view = trunk_view(found.spine, rng)
        bone, _ = acquire(project_volume(volume, view), sample_scanner(rng), rng)
        cases.append(photograph(f"ct/{k:02d}", bone, view, found.spine, found.valid_rows(found.spine)))
    return cases
