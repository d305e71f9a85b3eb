from itertools import pairwise

import numpy as np
import pytest
from benchmarks.bench_reading_bound import (
    curves_of,
    estimate_angles,
    pattern,
    simulated_centres,
    step_angles,
)
from benchmarks.yardsticks.sagittal import REGIONS, region_rows

from spinelift.geometry import SPINE_ROWS
from spinelift.simulate.body.prior import N_STEPS


@pytest.fixture(scope="module")
def centres():
    return simulated_centres(6, 3)


def test_readings_without_error_give_the_curve_itself(centres):
    angles = step_angles(centres)
    error = pattern(1e-4, 4.0) + 1e-8 * np.eye(N_STEPS)
    found = estimate_angles(angles, np.zeros(N_STEPS), 25.0 * np.eye(N_STEPS), error)
    np.testing.assert_allclose(found, angles, atol=1e-3)
    z = np.linspace(centres[0, 0, 2], centres[0, -1, 2], SPINE_ROWS)
    true = np.interp(z, centres[0, :, 2], centres[0, :, 1])
    np.testing.assert_allclose(curves_of(found, centres)[0], true - true.mean(), atol=0.05)


def test_readings_that_say_nothing_give_the_mean(centres):
    angles = step_angles(centres)
    mean = angles.mean(0)
    found = estimate_angles(angles, mean, 25.0 * np.eye(N_STEPS), 1e9 * np.eye(N_STEPS))
    np.testing.assert_allclose(found, np.broadcast_to(mean, found.shape), atol=1e-4)


def test_regions_follow_each_other_from_head_to_feet():
    rows = [region_rows(name, SPINE_ROWS) for name in REGIONS]
    assert rows[0].start > 0
    assert rows[-1].stop < SPINE_ROWS
    assert all(a.start < a.stop and a.start < b.start for a, b in pairwise(rows))
    assert rows[2].stop - 1 == rows[3].start  # both have L1
