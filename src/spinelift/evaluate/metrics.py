"""Metrics of one predicted spine against the truth, in mm and degrees of the whole scan."""

from dataclasses import dataclass

import numpy as np

from spinelift.curves import CORONAL, SAGITTAL, Curve, resample_rows, solid_iou, zero_sagittal
from spinelift.geometry import CROP_SIZE
from spinelift.geometry.arrays import Bool, Float
from spinelift.measures import coronal_angles, kyphosis_deg, lordosis_deg

CURVE_KEYS = {
    Curve.LEFT: "coronal_left", Curve.CENTRE: "coronal_centre", Curve.RIGHT: "coronal_right",
    Curve.ANTERIOR: "sagittal_anterior", Curve.SAGITTAL: "sagittal_centre",
    Curve.POSTERIOR: "sagittal_posterior",
}  # fmt: skip
"""Each curve in the keys of metrics."""
METRICS = {
    "mae_mm": "mean absolute error of all six curves",
    "coronal_mae_mm": "mean absolute error of the three coronal curves",
    "sagittal_mae_mm": "mean absolute error of the three sagittal curves",
    **{
        f"{key}_mae_mm": f"mean absolute error of the {key.replace('_', ' ')} curve"
        for key in CURVE_KEYS.values()
    },
    "mae_px": "`mae_mm` in pixels of the crop",
    "coronal_mae_px": "`coronal_mae_mm` in pixels of the crop",
    "sagittal_mae_px": "`sagittal_mae_mm` in pixels of the crop",
    **{f"{key}_mae_px": f"`{key}_mae_mm` in pixels of the crop" for key in CURVE_KEYS.values()},
    "deviation3d_mm": "mean distance of the two centre lines at the same height, in the axial plane",
    "coronal_relative_error_percent": "coronal error over the distance from the crop's left edge",
    "sagittal_relative_error_percent": "sagittal error over the distance from the crop's front edge",
    **{
        f"{key}_relative_error_percent": f"the same of the {key.replace('_', ' ')} curve"
        for key in CURVE_KEYS.values()
    },
    "iou3d": "intersection over union of the two spines as solids",
    "ferguson_error_deg": "absolute error of the largest modified Ferguson angle",
    "cobb_equivalent_error_deg": "absolute error of the Cobb-equivalent angle of the same curve",
    "kyphosis_error_deg": "absolute error of the kyphosis T4 to T12",
    "lordosis_error_deg": "absolute error of the lordosis L1 to L5",
    "coronal_coverage90_percent": "points of the coronal curves inside their 90 % interval",
    "sagittal_coverage90_percent": "points of the sagittal curves inside their 90 % interval",
    "coronal_interval90_mm": "mean full width of the 90 % interval of the coronal curves",
    "sagittal_interval90_mm": "mean full width of the 90 % interval of the sagittal curves",
    "coronal_pearson_r": "Pearson's r over people at a point, mean over the coronal curves",
    "sagittal_pearson_r": "Pearson's r over people at a point, mean over the sagittal curves",
}
"""Every metric with its definition. A key ends in its unit; without one it is a pure number."""
ANGLES = ("ferguson", "cobb_equivalent", "kyphosis", "lordosis")
_UNITS = {"_mm": "mm", "_px": "px", "_deg": "°", "_percent": "%"}
_PARTS = {"coronal": CORONAL, "sagittal": SAGITTAL}


def unit_of(key: str) -> str:
    """Unit of a metric, read from its key; empty for a pure number."""
    return next((unit for end, unit in _UNITS.items() if key.endswith(end)), "")


@dataclass(frozen=True)
class CropScale:
    """Position of the crop's left edge, mm from the scan's first column, and size of its pixels.

    Relative errors are measured from the crop's edge: left in the coronal view, front in the sagittal
    view, where the crop is centred on the mean depth.
    """

    left_edge_mm: float
    mm_per_px: float


def curve_metrics(
    pred_mm: Float, true_mm: Float, *, half_width_mm: Float | None = None, known: Bool | None = None
) -> dict[str, float]:
    """Errors of curves [6, n], mm, at the same heights; the sagittal zero does not matter.

    ``half_width_mm`` [6, n] is that of the 90 % interval of each point; its coverage and width follow.
    ``known`` are the curves [6] whose truth is known, None for all. The means are over these; a metric
    without any is left out.
    """
    known = np.ones(len(Curve), np.bool_) if known is None else known
    error = np.abs(_zeroed(pred_mm) - _zeroed(true_mm))
    out = {f"{CURVE_KEYS[c]}_mae_mm": error[c].mean() for c in Curve if known[c]}
    if known.any():
        out["mae_mm"] = error[known].mean()
    for name, part in _PARTS.items():
        some = known[part]
        if not some.any():
            continue
        out[f"{name}_mae_mm"] = error[part][some].mean()
        if half_width_mm is not None:
            half = half_width_mm[part][some]
            out[f"{name}_coverage90_percent"] = 100 * (error[part][some] <= half).mean()
            out[f"{name}_interval90_mm"] = 2 * half.mean()
    if known[Curve.CENTRE] and known[Curve.SAGITTAL]:
        out["deviation3d_mm"] = np.hypot(error[Curve.CENTRE], error[Curve.SAGITTAL]).mean()
    return {key: float(value) for key, value in out.items()}


def score(
    pred_z: Float, pred_mm: Float, true_z: Float, true_mm: Float, *, crop: CropScale | None = None,
    half_width_mm: Float | None = None, iou_step_mm: float | None = 1.0, angles: bool = True,
) -> dict[str, float]:  # fmt: skip
    """Metrics of one spine, by the keys of ``METRICS``, and both angles of each error: ``<angle>_deg`` of
    the prediction, ``true_<angle>_deg``.

    ``pred_z`` and ``true_z`` are heights [n], mm of the scan, growing to the feet; the curves at them are as
    in :func:`curve_metrics`. Without ``crop`` the relative errors are left out, without ``iou_step_mm``, the
    grid of the solids, the 3D IoU, and without ``angles`` these, which need the whole spine.
    """
    pred, true = _zeroed(resample_rows(pred_z, pred_mm, true_z)), _zeroed(true_mm)
    half = None if half_width_mm is None else resample_rows(pred_z, half_width_mm, true_z)
    out = curve_metrics(pred, true, half_width_mm=half)
    if crop is not None:
        out |= {
            key[:-2] + "px": value / crop.mm_per_px for key, value in out.items() if key.endswith("mae_mm")
        }
        edges = np.repeat([crop.left_edge_mm, -CROP_SIZE / 2 * crop.mm_per_px], 3)[:, None]
        relative = 100 * np.abs(pred - true) / (true - edges)
        for name, part in [*_PARTS.items(), *((key, c) for c, key in CURVE_KEYS.items())]:
            out[f"{name}_relative_error_percent"] = float(relative[part].mean())
    if iou_step_mm is not None:
        own = _zeroed(pred_mm)
        own[SAGITTAL] -= float(resample_rows(pred_z, own[Curve.SAGITTAL], true_z).mean())
        out["iou3d"] = float(solid_iou(pred_z, own, true_z, true, step_mm=iou_step_mm))
    if not angles:
        return out
    read, wanted = angles_deg(true_z, pred), angles_deg(true_z, true)
    for name in ANGLES:
        out |= {f"{name}_deg": read[name], f"true_{name}_deg": wanted[name]}
        out[f"{name}_error_deg"] = abs(read[name] - wanted[name])
    return out


def _zeroed(mm: Float) -> Float:
    return np.asarray(zero_sagittal(np.asarray(mm, np.float64)), np.float64)


def angles_deg(z_mm: Float, mm: Float) -> dict[str, float]:
    """Largest modified Ferguson and Cobb-equivalent angle, kyphosis, lordosis of curves [6, n], degrees."""
    bend, side = coronal_angles(z_mm, mm[Curve.CENTRE]), mm[Curve.SAGITTAL]
    return {
        "ferguson": float(bend.ferguson_deg),
        "cobb_equivalent": float(bend.cobb_equivalent_deg),
        "kyphosis": float(kyphosis_deg(z_mm, side)),
        "lordosis": float(lordosis_deg(z_mm, side)),
    }
