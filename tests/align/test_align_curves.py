import numpy as np
import pytest
from mri_cases import HALF_X, HALF_Y, centre, column, spine, volume

from spinelift.align.curves import curves_of_pair
from spinelift.align.plane import DXA, MRI, PlaneMask
from spinelift.curves import Curve
from spinelift.errors import NoSpineError
from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing, SpineFrame
from spinelift.segment.mri import MriSpine

MOVE = RigidTransform2D(3.0, (210.0, 620.0), MRI, DXA)


def dxa_truth():
    """The phantom's middle line in the DXA: heights, x, and y [n]."""
    z = np.linspace(-280.0, 180.0, 400)
    x, y = centre(z)
    moved = MOVE.apply(np.stack([x, z], 1))
    return moved[:, 1], moved[:, 0], y


def dxa_mask():
    z, x, _ = dxa_truth()
    grid = PixelGrid.covering(np.array([[x.min() - 60, z[0] - 30], [x.max() + 60, z[-1] + 30]]), 2.4)
    xs, zs = grid.x_mm, grid.z_mm
    depth = (HALF_X - np.abs(xs[None] - np.interp(zs, z, x)[:, None])) / 2.4 + 0.5
    along = np.clip(np.minimum(zs - z[0], z[-1] - zs) / 2.4 + 0.5, 0, 1)
    return PlaneMask((np.clip(depth, 0, 1) * along[:, None]).astype(np.float32), grid)


def frame():
    z, x, _ = dxa_truth()
    ends = {"top_xz_mm": (float(x[0]), float(z[0])), "bottom_xz_mm": (float(x[-1]), float(z[-1]))}
    return SpineFrame.from_ends(Spacing(2.4, 2.4), **ends)


def test_both_views_follow_the_phantom():
    curves = curves_of_pair(dxa_mask(), frame(), spine(), MOVE)
    z, x, y = dxa_truth()
    true_y = np.interp(curves.z_mm, z, y)
    mm = curves.mm
    assert np.abs(mm[Curve.CENTRE] - np.interp(curves.z_mm, z, x)).mean() < 0.5
    assert np.abs(mm[Curve.SAGITTAL] - (true_y - true_y.mean())).mean() < 0.5
    assert (mm[Curve.LEFT] - mm[Curve.RIGHT]).mean() == pytest.approx(2 * HALF_X, abs=1.0)
    assert (mm[Curve.POSTERIOR] - mm[Curve.ANTERIOR]).mean() == pytest.approx(2 * HALF_Y, abs=1.5)
    assert np.abs(np.diff(mm, n=2, axis=1)).max() < 0.2  # no jumps, at the ends either


def test_posterior_lies_behind_anterior():
    mm = curves_of_pair(dxa_mask(), frame(), spine(), MOVE).mm
    assert (mm[Curve.ANTERIOR] < mm[Curve.SAGITTAL]).all()
    assert (mm[Curve.SAGITTAL] < mm[Curve.POSTERIOR]).all()


def test_an_mri_that_ends_early_is_refused_and_one_that_nearly_reaches_is_not():
    short = MriSpine.from_mask(column(-280.0, 60.0), volume())
    with pytest.raises(NoSpineError, match="covers"):
        curves_of_pair(dxa_mask(), frame(), short, MOVE)
    nearly = MriSpine.from_mask(column(-280.0, 150.0), volume())
    curves = curves_of_pair(dxa_mask(), frame(), nearly, MOVE)
    assert np.isfinite(curves.mm).all()


def test_an_empty_mask_is_refused():
    mask = dxa_mask()
    with pytest.raises(NoSpineError, match="empty"):
        curves_of_pair(PlaneMask(np.zeros_like(mask.values), mask.grid), frame(), spine(), MOVE)
