"""A person of real size on the real grid, within the targets."""

import numpy as np
import pytest
from dixon_cases import TOP_MM, full_stations, signal

from spinelift.io.dixon.read import read_dixon
from spinelift.simulate.archive.dixon import write_dixon_zip


@pytest.mark.slow
def test_full_size_person(tmp_path):
    path = write_dixon_zip(tmp_path, full_stations(), eid=1, instance=2, rng=np.random.default_rng(1))
    volume = read_dixon(path)
    assert volume.water.shape == (700, 224, 224)
    assert volume.findings == ()
    rows = np.arange(10, volume.rows[1] - 10, 9)
    x0, y0, z0 = volume.origin_mm
    x = (x0 + volume.voxel_mm * np.arange(224))[None, None]
    y = (y0 + volume.voxel_mm * np.arange(224))[None, :, None]
    water, fat = signal(x, y, (z0 + TOP_MM + volume.voxel_mm * rows)[:, None, None])
    body = water + fat > 300
    for true, found in ((water, volume.water), (fat, volume.fat)):
        assert np.median(np.abs(true - found[rows])[body]) < 4
