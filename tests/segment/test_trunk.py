import numpy as np
import pytest
from benchmarks.bench_rotation import turned

from spinelift.geometry import Spacing
from spinelift.geometry.canonical import CanonicalGrid
from spinelift.segment.postprocess import SpineLocation
from spinelift.segment.trunk import ROTATED_DEG, pelvis_features, rotation_warning, trunk_rotation_deg
from spinelift.simulate.body.body import sample_body
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.dxa.scan import take_scan
from spinelift.simulate.identity import person_rng

END = (330.0, 810.0)
DXA, FINE = Spacing(2.427, 2.419), Spacing(1.2, 1.21)


def pelvis(left_mm, right_mm, move_mm=0.0, spacing=DXA, shape=(791, 272)):
    """A scan whose iliac wings are so wide and moved to the left, on soft tissue, and where L5 ends."""
    grid = CanonicalGrid(spacing, shape)
    x, z = grid.scan.x_mm[None] - END[0], grid.scan.z_mm[:, None] - END[1]
    wing = ((x - move_mm > 45) & (x - move_mm < 45 + left_mm)) | (
        (x - move_mm < -45) & (x - move_mm > -45 - right_mm)
    )
    bone = 60 + 90.0 * (wing & (np.abs(z - 20) < 30)) + 130.0 * (np.abs(x) < 20)
    mask = np.zeros(grid.canvas.shape, np.float32)
    return bone, SpineLocation(grid, mask, (330.0, 300.0), END, 1.0)


@pytest.mark.parametrize(("spacing", "shape"), [(DXA, (791, 272)), (FINE, (1600, 544))])
def test_features_have_their_closed_forms_and_change_sign_in_the_mirror(spacing, shape):
    scan = {"spacing": spacing, "shape": shape}
    ratio, distance, _ = pelvis_features(*pelvis(80, 40, **scan))
    assert ratio == pytest.approx(np.log(2), abs=0.1)
    assert distance == pytest.approx(np.log(85 / 65), abs=0.05)
    mirrored = pelvis_features(*pelvis(40, 80, **scan))
    np.testing.assert_allclose(mirrored[:2], [-ratio, -distance], atol=0.1)
    moved = [pelvis_features(*pelvis(50, 50, mm, **scan))[2] for mm in (9.6, -9.6)]
    np.testing.assert_allclose(moved, [9.6, -9.6], atol=1.3)


def test_a_person_turned_to_the_left_is_found_turned_to_the_left_and_the_other_way_round():
    body = sample_body(ShapePrior.load(), person_rng(7, 3))
    found = []
    for degrees in (-15, 0, 15):
        scan = take_scan(turned(body, degrees), person_rng(8, 3))
        grid = CanonicalGrid(scan.spacing, scan.bone.shape)
        location = SpineLocation(grid, np.zeros(grid.canvas.shape, np.float32), *scan.ends, 1.0)
        found.append(trunk_rotation_deg(scan.bone, location))
    assert found[0] < -8 < found[1] < 8 < found[2]


def test_warning_names_the_sides_and_comes_only_for_the_unusual():
    assert rotation_warning(ROTATED_DEG - 0.1) is None is rotation_warning(None)
    assert rotation_warning(ROTATED_DEG).startswith(
        "the trunk may be rotated to the left (the right iliac wing"
    )
    assert rotation_warning(-20).startswith("the trunk may be rotated to the right (the left iliac wing")


def test_unknown_where_the_image_ends_in_the_pelvis_or_shows_no_bone():
    bone, location = pelvis(60, 60)
    cut = CanonicalGrid(DXA, (340, 272))
    assert trunk_rotation_deg(bone[:340], SpineLocation(cut, location.mask, (330, 300), END, 1.0)) is None
    assert trunk_rotation_deg(np.full_like(bone, 60), location) is None
