"""Masks and movement of a simulated pair, from the truth that the simulator writes beside the archives."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinelift.align.plane import DXA, MRI, PlaneMask
from spinelift.errors import ConfigError
from spinelift.geometry import PixelGrid, RigidTransform2D

RASTER_MM = 1.0


@dataclass(frozen=True)
class PairTruth:
    """True masks, each in its own millimetres, and the movement that lays one on the other best."""

    dxa: PlaneMask
    mri: PlaneMask
    transform: RigidTransform2D


def read_pair_truth(path: Path) -> PairTruth:
    """Read ``truth/<eid>_<instance>.json`` of a simulated cohort.

    Raises
    ------
    ConfigError
        It is no such file, or of a DXA alone.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        coronal, mri, moved = document["coronal_mm"], document["mri"], document["mri_to_dxa"]
        shift = (float(moved["dx_mm"]), float(moved["dz_mm"]))
        transform = RigidTransform2D(float(moved["rotation_deg"]), shift, MRI, DXA)
        curves = mri["curves_mm"]
        return PairTruth(
            column_mask(document["z_mm"], coronal["left"], coronal["right"]),
            column_mask(mri["z_mm"], curves["left"], curves["right"]),
            transform,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            found=f"no truth of a pair in {path.name} ({error})",
            expected="JSON as `spinelift simulate cohort` writes it",
            do="Check --truth.",
        ) from error


def column_mask(z_mm: Any, left_mm: Any, right_mm: Any) -> PlaneMask:
    """The column between a left and a right curve, on a 1 mm raster; edges to a fraction of a pixel."""
    z, left, right = (np.asarray(v, np.float64) for v in (z_mm, left_mm, right_mm))
    low, high = np.array([right.min(), z[0]]), np.array([left.max(), z[-1]])
    grid = PixelGrid.covering(np.stack([low, high]), RASTER_MM, margin_mm=4 * RASTER_MM)
    xs, zs = grid.x_mm, grid.z_mm
    across = _share(np.interp(zs, z, right)[:, None], np.interp(zs, z, left)[:, None], xs[None, :])
    along = _share(np.array(z[0]), np.array(z[-1]), zs)
    return PlaneMask((across * along[:, None]).astype(np.float32), grid)


def _share(
    low: NDArray[np.float64], high: NDArray[np.float64], place: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of a raster step about ``place`` that lies between two limits."""
    share = np.minimum(place - low, high - place) / RASTER_MM + 0.5
    return np.asarray(np.clip(share, 0.0, 1.0))
