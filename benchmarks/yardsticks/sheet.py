"""A sheet of pictures: crops with true and predicted curves, from the front and from the side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.yardsticks.case import YardstickCase
from spinelift.curves import CORONAL, SAGITTAL, Curve
from spinelift.geometry import CROP_SIZE, SPINE_CROP_ROWS

Float = NDArray[np.float64]
ZOOM, SIDE = 2, 90
"""Screen pixels a crop pixel, and crop pixels of the side view's width."""
TRUE, PREDICTED = (230, 70, 60), (70, 220, 120)


def draw_sheet(rows: Sequence[tuple[Sequence[YardstickCase], Float]], out: Path) -> None:
    """Write a PNG: one row a yardstick, its cases with truth in red and predictions [n, 6, 209] in green."""
    strips = [[_panel(c, p) for c, p in zip(cases, curves, strict=True)] for cases, curves in rows]
    width = max(len(s) for s in strips)
    blank = np.zeros_like(strips[0][0])
    lines = [np.concatenate(s + [blank] * (width - len(s)), 1) for s in strips]
    Image.fromarray(np.concatenate(lines, 0)).save(out)


def _panel(case: YardstickCase, predicted: Float) -> NDArray[np.uint8]:
    front = np.repeat(np.repeat(case.image, ZOOM, 0), ZOOM, 1)
    side = np.full((CROP_SIZE * ZOOM, SIDE * ZOOM), 20, np.uint8)
    panel = np.stack([np.concatenate([front, side], 1)] * 3, -1)
    shift = predicted[Curve.SAGITTAL, case.valid].mean() - case.curves[Curve.SAGITTAL, case.valid].mean()
    for curves, colour, rows in (
        (case.curves, TRUE, case.valid),
        (predicted, PREDICTED, np.ones_like(case.valid)),
    ):
        line = np.round((SPINE_CROP_ROWS[rows] + 0.5) * ZOOM).astype(int)
        for k in range(len(Curve)):
            if colour == TRUE and not case.known[k]:
                continue
            x = curves[k, rows].astype(np.float64)
            if k in range(*SAGITTAL.indices(len(Curve))):
                x = CROP_SIZE + SIDE / 2 + x - (shift if colour == PREDICTED else 0.0)
                low, high = CROP_SIZE, CROP_SIZE + SIDE
            else:
                assert k in range(*CORONAL.indices(len(Curve)))
                low, high = 0, CROP_SIZE
            col = np.round((x + 0.5) * ZOOM).astype(int)
            panel[line, np.clip(col, low * ZOOM, high * ZOOM - 1)] = colour
    return panel
