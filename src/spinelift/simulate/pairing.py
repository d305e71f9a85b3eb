"""The truth of a pair: the coronal rigid movement that fits the MRI to the DXA best, and what is left."""

import numpy as np

from spinelift.curves import Curve
from spinelift.geometry import RigidTransform2D, Vertebra, intersection_over_union
from spinelift.geometry.arrays import Float
from spinelift.io.truth import ColumnTruth, RigidMovement
from spinelift.simulate.body.spine import PosedSpine

RASTER_MM = 1.0
"""Step of the raster on which the overlap is counted."""
MARGIN_MM = 40.0
"""Margin of the raster about the DXA's column: columns further away than this do not overlap in part."""


def corners(spine: PosedSpine) -> Float:
    """Corners of all bodies seen from the front, (x, z) mm [68, 2]; the same order in every pose."""
    out = []
    for side in (-0.5, 0.5):
        for end in (-0.5, 0.5):
            offset = np.stack([side * spine.size[:, 0], 0 * spine.size[:, 0], end * spine.size[:, 2]], 1)
            out.append(spine.centres + np.einsum("nij,nj->ni", spine.frames, offset))
    return np.concatenate(out)[:, [0, 2]]


def column_of(spine: PosedSpine) -> ColumnTruth:
    """The column of a posed spine; sagittal curves keep their place in the body."""
    z, mm = spine.curves_mm()
    middle = spine.centres[Vertebra.T9]
    mm[Curve.ANTERIOR :] += middle[1] - np.interp(middle[2], z, mm[Curve.SAGITTAL])
    return ColumnTruth(z_mm=z, curves_mm=mm, vertebra_centres_mm=spine.centres)


def overlap(dxa: ColumnTruth, mri: ColumnTruth, rigid: RigidTransform2D) -> float:
    """Intersection over union of the DXA's column with the MRI's, moved rigidly, on a raster."""
    low = np.array([dxa.curves_mm[Curve.RIGHT].min(), dxa.z_mm[0]]) - MARGIN_MM
    high = np.array([dxa.curves_mm[Curve.LEFT].max(), dxa.z_mm[-1]]) + MARGIN_MM
    points = np.stack(np.meshgrid(*(np.arange(a, b, RASTER_MM) for a, b in zip(low, high, strict=True))), -1)
    a, b = dxa.depth_mm(points) >= 0, mri.depth_mm(rigid.inverse().apply(points)) >= 0
    return intersection_over_union(a, b)


def fit_movement(dxa: PosedSpine, mri: PosedSpine) -> RigidMovement:
    """The movement between two poses, each in the coordinates of its scan, mm, z to the feet."""
    rigid = RigidTransform2D.fit(corners(mri), corners(dxa), source="mri", target="dxa")
    left = rigid.apply(mri.centres[:, [0, 2]]) - dxa.centres[:, [0, 2]]
    distance = np.linalg.norm(left, axis=1)
    x, z = (dxa.centres.mean(0) - mri.centres.mean(0))[[0, 2]]
    return RigidMovement(
        rotation_deg=rigid.rotation_deg,
        dx_mm=rigid.shift_mm[0],
        dz_mm=rigid.shift_mm[1],
        centre_shift_mm=(float(x), float(z)),
        residual_mean_mm=float(distance.mean()),
        residual_max_mm=float(distance.max()),
        iou=overlap(column_of(dxa), column_of(mri), rigid),
    )
