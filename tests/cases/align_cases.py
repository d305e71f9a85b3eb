"""Asymmetric columns and bodies whose movement is known."""

import numpy as np

from spinelift.align.plane import DXA, MRI, PlaneImage, PlaneMask
from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing


def column(grid, to_grid, *, bend_mm=0.0, height_mm=440.0):
    """Mask of a lop-sided column; ``to_grid`` moves the column's own mm (x, z from its top) to the grid's."""
    rows, cols = np.meshgrid(*(np.arange(n, dtype=float) for n in grid.shape), indexing="ij")
    xz = to_grid.inverse().apply(grid.to_mm(np.stack([rows, cols], -1)))
    x, z = xz[..., 0], xz[..., 1]
    t = z / height_mm
    centre = 14 * np.sin(2.2 * np.pi * t) + 10 * t + bend_mm * np.sin(np.pi * t) ** 2
    left, right = centre + 13 + 9 * t, centre - 12 - 6 * t**2
    depth = np.minimum.reduce([left - x, x - right, z, height_mm - z])
    values = np.clip(depth / grid.spacing.row_mm + 0.5, 0, 1)
    return PlaneMask(values.astype(np.float32), grid)


def column_pair(truth, **changes):
    """Masks of DXA (2.2 × 2.1 mm) and MRI (2 mm) where ``truth`` takes the MRI to the DXA."""
    dxa_grid = PixelGrid((0.0, 0.0), Spacing(2.2, 2.1), (340, 120))
    in_dxa = RigidTransform2D(1.3, (118.0, 90.0), "own", DXA)
    in_mri = in_dxa.then(truth.inverse())
    middle = in_mri.apply(np.array([5.0, 220.0]))
    mri_grid = PixelGrid((middle[0] - 90.0, middle[1] - 300.0), Spacing(2.0, 2.0), (300, 90))
    return column(dxa_grid, in_dxa), column(mri_grid, in_mri, **changes)


def body_pair(truth, *, pixel_mm=4.0):
    """A lop-sided body as DXA and as water and fat, whose greys have little to do with each other."""
    dxa_grid = PixelGrid((0.0, 0.0), Spacing(pixel_mm, pixel_mm), (220, 110))
    mri_grid = PixelGrid((-170.0, -210.0), Spacing(pixel_mm, pixel_mm), (130, 90))
    dxa, _, _ = _body(dxa_grid, RigidTransform2D.identity(DXA, DXA))
    _, water, fat = _body(mri_grid, truth.inverse())
    still = (np.ones(g.shape, bool) for g in (dxa_grid, mri_grid))
    one = PlaneImage(dxa[None].astype(np.float32), dxa_grid, next(still))
    return one, PlaneImage(np.stack([water, fat]).astype(np.float32), mri_grid, next(still))


def _body(grid, from_dxa):
    rows, cols = np.meshgrid(*(np.arange(n, dtype=float) for n in grid.shape), indexing="ij")
    xz = from_dxa.inverse().apply(grid.to_mm(np.stack([rows, cols], -1)))
    x, z = xz[..., 0], xz[..., 1]
    wall = 95 + 25 * np.sin(z / 90) + 0.05 * (z - 400)
    trunk = _soft((wall - np.abs(x - 220 - 0.04 * z)) / 6)
    organ = _soft((60 - np.hypot((x - 175) / 0.9, (z - 330) / 1.6)) / 6)
    small = _soft((32 - np.hypot(x - 290, (z - 450) / 1.3)) / 6)
    spine = _soft((16 - np.abs(x - 222 - 12 * np.sin(z / 130))) / 5)
    limit = _soft((z - 150) / 8) * _soft((640 - z) / 8)
    bone = trunk * limit * (60 + 30 * organ + 90 * spine)
    water = trunk * limit * (300 + 260 * organ - 120 * spine + 200 * small)
    fat = limit * (trunk * (80 - 60 * organ + 90 * spine) + 200 * trunk * (1 - trunk))
    return bone, water, fat


def _soft(depth):
    return np.clip(depth + 0.5, 0, 1)


def truth_of(rotation_deg=0.0, x_mm=0.0, z_mm=0.0, *, about=(120.0, 310.0)):
    """Movement from MRI to DXA: the point ``about`` of the MRI turns, then moves."""
    return RigidTransform2D.about(
        np.array(about), rotation_deg, np.array([x_mm, z_mm]), source=MRI, target=DXA
    )
