"""The truth of a pair: the coronal rigid movement that best lays MRI on DXA, and what is left."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinelift.curves import Curve
from spinelift.geometry import RigidTransform2D, Vertebra, intersection_over_union
from spinelift.simulate.body.spine import PosedSpine

Float = NDArray[np.float64]
RASTER_MM = 1.0


def corners(spine: PosedSpine) -> Float:
    """Corners of all bodies seen from the front, (x, z) mm [68, 2]; the same order in every pose."""
    out = []
    for side in (-0.5, 0.5):
        for end in (-0.5, 0.5):
            offset = np.stack([side * spine.size[:, 0], 0 * spine.size[:, 0], end * spine.size[:, 2]], 1)
            out.append(spine.centres + np.einsum("nij,nj->ni", spine.frames, offset))
    return np.concatenate(out)[:, [0, 2]]


def inside(z_mm: Float, mm: Float, xz: Float) -> NDArray[np.bool_]:
    """Whether points [..., 2] lie in the column between the left and right curve."""
    x, z = xz[..., 0], xz[..., 1]
    left, right = (np.interp(z, z_mm, mm[c]) for c in (Curve.LEFT, Curve.RIGHT))
    return np.asarray((x <= left) & (x >= right) & (z >= z_mm[0]) & (z <= z_mm[-1]))


def overlap(dxa: PosedSpine, mri: PosedSpine, rigid: RigidTransform2D) -> float:
    """Intersection over union of the DXA's column with the MRI's, moved rigidly, on a 1 mm raster."""
    (z, mm), (z2, mm2) = dxa.curves_mm(), mri.curves_mm()
    low = np.array([mm[Curve.RIGHT].min(), z[0]]) - 40
    high = np.array([mm[Curve.LEFT].max(), z[-1]]) + 40
    points = np.stack(np.meshgrid(*(np.arange(a, b, RASTER_MM) for a, b in zip(low, high, strict=True))), -1)
    a, b = inside(z, mm, points), inside(z2, mm2, rigid.inverse().apply(points))
    return intersection_over_union(a, b)


def pair_truth(dxa: PosedSpine, mri: PosedSpine) -> dict[str, Any]:
    """Truth of a pair as JSON: both spines in the coordinates of their scans, the movement between them.

    ``dxa`` in mm from the centre of the scan's first pixel, ``mri`` in the scanner's (z to the feet, minus
    DICOM's z).
    """
    rigid = RigidTransform2D.fit(corners(mri), corners(dxa), source="mri", target="dxa")
    left = rigid.apply(mri.centres[:, [0, 2]]) - dxa.centres[:, [0, 2]]
    distance = np.linalg.norm(left, axis=1)
    shift = dxa.centres.mean(0)[[0, 2]] - mri.centres.mean(0)[[0, 2]]
    return {
        "mri_to_dxa": {
            "rotation_deg": round(rigid.rotation_deg, 4),
            "dx_mm": round(rigid.shift_mm[0], 3),
            "dz_mm": round(rigid.shift_mm[1], 3),
            "shift_of_middle_mm": [round(float(v), 3) for v in shift],
        },
        "residual_mm": {"mean": round(float(distance.mean()), 3), "max": round(float(distance.max()), 3)},
        "iou_with_truth": round(overlap(dxa, mri, rigid), 4),
        "mri": spine_json(mri),
    }


def spine_json(spine: PosedSpine) -> dict[str, Any]:
    """Heights, six curves (sagittal ones not centred) and bodies' centres, mm, of a posed spine."""
    z, mm = spine.curves_mm()
    middle = spine.centres[Vertebra.T9]
    mm[Curve.ANTERIOR :] += middle[1] - np.interp(middle[2], z, mm[Curve.SAGITTAL])
    return {
        "z_mm": z.round(3).tolist(),
        "curves_mm": {c.name.lower(): mm[c].round(3).tolist() for c in Curve},
        "vertebra_centres_mm": {v.name: spine.centres[v].round(3).tolist() for v in Vertebra},
    }
