"""The truth of a simulated person around a column of the test's own."""

import numpy as np

from spinelift.geometry import Vertebra
from spinelift.io.truth import SimulatedTruth


def column_fields(z, x, *, left=20.0, right=20.0, y=None, depth=15.0):
    """Fields of a column about the line (x, y) at heights z, mm; bodies at equal distances."""
    y = np.zeros_like(z) if y is None else y
    curves = np.stack([x + left, x, x - right, y - depth, y, y + depth])
    heights = np.linspace(z[0], z[-1], len(Vertebra) + 2)[1:-1]
    centres = np.stack([np.interp(heights, z, x), np.interp(heights, z, y), heights], 1)
    return {"z_mm": z, "curves_mm": curves, "vertebra_centres_mm": centres}


def simulated_truth(*, dxa, mri=None, moved=None, iou=0.9, traps=(), scan_id="10000000_2"):
    """A truth of these columns and this movement from MRI to DXA."""
    if mri is not None:
        rest = {"centre_shift_mm": (0, 0), "residual_mean_mm": 0, "residual_max_mm": 0, "iou": iou}
        posture = {"tilt_deg": 0, "bend_deg": [0] * 16, "sway_deg": [0] * 16}
        mri = {**mri, "to_dxa": {**moved, **rest}, "posture": posture, "stations": (), "traps": traps}
    return SimulatedTruth(
        scan_id=scan_id,
        seed=0,
        person=0,
        sex="F",
        age_years=60,
        height_mm=1650,
        weight_kg=70,
        dxa={**dxa, "ferguson_deg": 0},
        mri=mri,
    )
