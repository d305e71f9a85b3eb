"""The six curves of a spine, in crop pixels or mm, with their position in the scan."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from spinelift.geometry import SPINE_ROWS, SpineFrame
from spinelift.geometry.arrays import AnyFloat, Float


class Curve(IntEnum):
    """Row of each curve in an array of curves [6, 209] (X1, X2, X3, Y1, Y2, Y3 of the paper).

    Coronal values grow to the patient's left, so ``LEFT > CENTRE > RIGHT``; sagittal values grow to
    posterior, so ``ANTERIOR < SAGITTAL < POSTERIOR``.
    """

    LEFT, CENTRE, RIGHT, ANTERIOR, SAGITTAL, POSTERIOR = range(6)


CORONAL, SAGITTAL = slice(0, 3), slice(3, 6)
JSON_KEYS = {"coronal_mm": ("left", "centre", "right"), "sagittal_mm": ("anterior", "centre", "posterior")}
"""Names in ``curves.json``, in the order of :class:`Curve`."""


def zero_sagittal(curves: AnyFloat) -> AnyFloat:
    """Shift the sagittal curves [..., 6, n] so that the mean of the centre one is zero."""
    out = np.array(curves, copy=True)
    out[..., SAGITTAL, :] -= out[..., Curve.SAGITTAL, :].mean(-1)[..., None, None]
    return out


@dataclass(frozen=True)
class SpineCurves:
    """Six curves over 209 rows from T1's upper endplate to L5's lower endplate.

    Parameters
    ----------
    px
        float64 [6, 209] in crop pixels. Coronal curves are crop columns; sagittal ones are measured
        from the mean of the sagittal centre curve.
    frame
        Position of the crop in the scan.
    """

    px: Float
    frame: SpineFrame

    def __post_init__(self) -> None:
        px = np.asarray(self.px, np.float64)
        if px.shape != (len(Curve), SPINE_ROWS):
            raise ValueError(f"curves must be [6, {SPINE_ROWS}], not {list(px.shape)}")
        if not np.isfinite(px).all():
            raise ValueError("curves must be finite")
        object.__setattr__(self, "px", zero_sagittal(px))

    @classmethod
    def from_mm(cls, mm: Float, frame: SpineFrame) -> "SpineCurves":
        """Curves in mm [6, 209] (coronal from the scan's first column) → curves in crop pixels."""
        px = np.array(mm, np.float64)
        px[CORONAL] -= frame.x0_mm
        return cls(px / frame.mm_per_px, frame)

    @property
    def mm(self) -> Float:
        """Curves in mm [6, 209]: coronal from the centre of the scan's first column."""
        mm = self.px * self.frame.mm_per_px
        mm[CORONAL] += self.frame.x0_mm
        return mm

    @property
    def z_mm(self) -> Float:
        """Height of each row, mm from the centre of the scan's first row [209]."""
        return self.frame.z_mm

    @property
    def centreline_mm(self) -> Float:
        """The 3D spine: x (left), y (posterior), z (feet) in mm [209, 3]."""
        mm = self.mm
        return np.stack([mm[Curve.CENTRE], mm[Curve.SAGITTAL], self.z_mm], 1)

    def to_json(self) -> dict[str, object]:
        """Geometry part of ``curves.json``: lists of mm rounded to 0.001."""
        return {
            "mm_per_px": round(self.frame.mm_per_px, 6),
            "z_mm": np.round(self.z_mm, 3).tolist(),
            **by_view(self.mm),
            "centreline_mm": (np.round(self.centreline_mm, 3) + 0.0).tolist(),
        }


def by_view(mm: Float) -> dict[str, dict[str, list[Any]]]:
    """Values of the curves [6, ...] as ``curves.json`` has them: by view and name, rounded to 0.001."""
    rows = iter((np.round(mm, 3) + 0.0).tolist())
    return {view: {name: next(rows) for name in names} for view, names in JSON_KEYS.items()}


def mm_from_json(document: Mapping[str, Any]) -> tuple[Float, Float]:
    """``curves.json`` → heights z_mm [n] and the six curves in mm [6, n]."""
    rows = [document[view][name] for view, names in JSON_KEYS.items() for name in names]
    return np.array(document["z_mm"], np.float64), np.array(rows, np.float64)


def resample_rows(z: Float, values: Float, z_new: Float) -> Float:
    """Linear interpolation and extrapolation of values [..., n] from rows z [n] to z_new [m]."""
    z, values, z_new = (np.asarray(a, np.float64) for a in (z, values, z_new))
    k = np.clip(np.searchsorted(z, z_new) - 1, 0, len(z) - 2)
    t = (z_new - z[k]) / (z[k + 1] - z[k])
    return values[..., k] * (1 - t) + values[..., k + 1] * t
