"""Figures of one spine against the truth, in mm and degrees of the whole scan."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinelift.curves import CORONAL, SAGITTAL, Curve, resample_rows, solid_iou, zero_sagittal
from spinelift.geometry import CROP_SIZE
from spinelift.measures import coronal_angles, kyphosis_deg, lordosis_deg

Float = NDArray[np.float64]

UNITS = {
    "mae": "mm",
    "coronal_mae": "mm",
    "sagittal_mae": "mm",
    **{f"{curve.name.lower()}_mae": "mm" for curve in Curve},
    "coronal_re": "%",
    "sagittal_re": "%",
    "deviation_3d": "mm",
    "iou_3d": "",
    "ferguson_error": "°",
    "cobb_equivalent_error": "°",
    "kyphosis_error": "°",
    "lordosis_error": "°",
    "coverage90_coronal": "%",
    "coverage90_sagittal": "%",
}
"""Every figure that :func:`score` may give, with its unit."""


@dataclass(frozen=True)
class CropScale:
    """Where the crop's left edge lies, mm from the scan's first column, and how large its pixels are.

    Relative errors are measured from the crop's edge: left in the coronal view, front in the sagittal
    view, where the crop is centred on the mean depth.
    """

    left_edge_mm: float
    mm_per_px: float


def aligned(pred_z: Float, pred_mm: Float, true_z: Float, true_mm: Float) -> tuple[Float, Float]:
    """Prediction and truth [6, n] at the truth's heights, each with its sagittal zero there."""
    predicted = _zeroed(resample_rows(pred_z, pred_mm, true_z))
    return predicted, _zeroed(true_mm)


def score(
    pred_z: Float,
    pred_mm: Float,
    true_z: Float,
    true_mm: Float,
    *,
    crop: CropScale | None = None,
    half_width_mm: Float | None = None,
    iou_step_mm: float | None = 1.0,
) -> dict[str, float]:
    """All figures of one spine.

    Parameters
    ----------
    pred_z, true_z
        Heights [n], mm of the scan, growing to the feet.
    pred_mm, true_mm
        Six curves [6, n], mm of the scan; the sagittal zero does not matter.
    crop
        Gives relative errors.
    half_width_mm
        Of the 90 % interval of each predicted point [6, n]: gives coverage.
    iou_step_mm
        Grid of the 3D IoU; None leaves it out.
    """
    pred, true = aligned(pred_z, pred_mm, true_z, true_mm)
    error = np.abs(pred - true)
    out = {
        "mae": error.mean(),
        "coronal_mae": error[CORONAL].mean(),
        "sagittal_mae": error[SAGITTAL].mean(),
        **{f"{curve.name.lower()}_mae": error[curve].mean() for curve in Curve},
        "deviation_3d": np.hypot(error[Curve.CENTRE], error[Curve.SAGITTAL]).mean(),
    }
    if crop is not None:
        out["coronal_re"] = 100 * (error[CORONAL] / (true[CORONAL] - crop.left_edge_mm)).mean()
        front = -CROP_SIZE / 2 * crop.mm_per_px
        out["sagittal_re"] = 100 * (error[SAGITTAL] / (true[SAGITTAL] - front)).mean()
    if iou_step_mm is not None:
        own = _zeroed(pred_mm)
        own[SAGITTAL] += _depth_shift(pred_z, own, true_z)
        out["iou_3d"] = solid_iou(pred_z, own, true_z, true, step_mm=iou_step_mm)
    if half_width_mm is not None:
        inside = error <= resample_rows(pred_z, half_width_mm, true_z)
        out["coverage90_coronal"] = 100 * inside[CORONAL].mean()
        out["coverage90_sagittal"] = 100 * inside[SAGITTAL].mean()
    return {k: float(v) for k, v in (out | _angle_errors(true_z, pred, true)).items()}


def _zeroed(mm: Float) -> Float:
    return np.asarray(zero_sagittal(np.asarray(mm, np.float64)), np.float64)


def _depth_shift(pred_z: Float, pred_mm: Float, true_z: Float) -> float:
    """What brings the prediction's sagittal zero to where it is at the truth's heights."""
    return -float(resample_rows(pred_z, pred_mm[Curve.SAGITTAL], true_z).mean())


def _angle_errors(z: Float, pred: Float, true: Float) -> dict[str, float]:
    bends = [coronal_angles(z, mm[Curve.CENTRE]) for mm in (pred, true)]
    kyphosis = [kyphosis_deg(z, mm[Curve.SAGITTAL]) for mm in (pred, true)]
    lordosis = [lordosis_deg(z, mm[Curve.SAGITTAL]) for mm in (pred, true)]
    return {
        "ferguson_error": abs(bends[0].ferguson_deg - bends[1].ferguson_deg),
        "cobb_equivalent_error": abs(bends[0].cobb_equivalent_deg - bends[1].cobb_equivalent_deg),
        "kyphosis_error": abs(kyphosis[0] - kyphosis[1]),
        "lordosis_error": abs(lordosis[0] - lordosis[1]),
    }
