"""Charts and pictures of a study as PNG in base64."""

import base64
import io
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spinelift.curves import CORONAL, SAGITTAL
from spinelift.geometry import CROP_SIZE, SPINE_CROP_ROWS, SPINE_ROWS
from spinelift.geometry.arrays import AnyFloat, UInt8
from spinelift.study.scores import ANGLES, LEVELS, Scored

COLOURS = ("#33658a", "#d1495b", "#8a9a5b", "#edae49", "#66518a", "#2f9c95", "#777777", "#b5651d", "#222222")
TRUE, PREDICTED = "#7bd389", "#ff9f1c"
VIEWS = ("coronal", "sagittal")


def error_along_spine(models: Mapping[str, Scored]) -> str:
    """Mean absolute error of both views at each height, T1 at the top."""
    figure = Figure(figsize=(12.5, 4.6), layout="constrained")
    height = np.linspace(0, 100, SPINE_ROWS)
    for view, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        for (name, scored), colour in zip(models.items(), COLOURS, strict=False):
            axes.plot(scored.error_mm[:, view].mean(0), height, color=colour, label=name, lw=1.5)
        axes.set_xlabel(f"mean absolute error, {VIEWS[view]} curves, mm")
        axes.set_xlim(left=0)
        axes.invert_yaxis() if not view else None
    figure.axes[0].set_ylabel("height, % from T1's upper to L5's lower endplate")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8
    )
    return png(figure)


def interval_calibration(models: Mapping[str, Scored]) -> str:
    """Observed against nominal coverage of the intervals."""
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    for view, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        axes.plot([50, 100], [50, 100], color="#aaa", lw=0.8)
        for (name, scored), colour in zip(models.items(), COLOURS, strict=False):
            observed = 100 * scored.covered[:, view].mean(0)
            axes.plot(100 * np.array(LEVELS), observed, "o-", color=colour, label=name, ms=4, lw=1.2)
        axes.set_xlabel(f"nominal coverage, {VIEWS[view]} curves, %")
    figure.axes[0].set_ylabel("observed coverage, %")
    figure.legend(
        *figure.axes[1].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8
    )
    return png(figure)


def bland_altman_plot(scored: Scored) -> str:
    """Difference against mean of predicted and true angles, with bias and limits of agreement."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for angle, axes in zip(ANGLES, figure.subplots(1, 3), strict=True):
        pred, true = scored.angles[angle], scored.angles[f"true_{angle}"]
        difference = pred - true
        axes.scatter((pred + true) / 2, difference, s=8, alpha=0.5, color=COLOURS[0], lw=0)
        for side, style in ((0, "-"), (-1.96, "--"), (1.96, "--")):
            axes.axhline(difference.mean() + side * difference.std(), color=COLOURS[1], lw=1, ls=style)
        axes.set_xlabel(f"{angle}: mean of predicted and true, °")
    figure.axes[0].set_ylabel("predicted − true, °")
    return png(figure)


def cases(image: UInt8, true: AnyFloat, pred: AnyFloat, titles: list[str]) -> str:
    """Crops [n, 224, 224] with true and predicted coronal curves, and beside each its side view."""
    figure = Figure(figsize=(3.6 * len(titles), 4.2), layout="constrained")
    grid = figure.subplots(1, 2 * len(titles), width_ratios=[1.5, 1.0] * len(titles))
    for k, title in enumerate(titles):
        front, side = grid[2 * k], grid[2 * k + 1]
        front.imshow(image[k], cmap="gray", vmin=0, vmax=255)
        _draw(front, true[k][CORONAL], pred[k][CORONAL])
        front.set_xlim(CROP_SIZE * 0.2, CROP_SIZE * 0.8)
        front.set_title(title, fontsize=9, loc="left")
        _draw(side, true[k][SAGITTAL], pred[k][SAGITTAL])
        side.set_xlim(-CROP_SIZE * 0.2, CROP_SIZE * 0.2)
        side.set_ylim(CROP_SIZE - 0.5, -0.5)
        side.set_aspect("equal")
        side.set_facecolor("#262626")
        for axes in (front, side):
            axes.set_xticks([])
            axes.set_yticks([])
    return png(figure)


def _draw(axes: Axes, true: AnyFloat, pred: AnyFloat) -> None:
    for curves, colour in ((true, TRUE), (pred, PREDICTED)):
        for k, curve in enumerate(curves):
            axes.plot(curve, SPINE_CROP_ROWS, color=colour, lw=1.4 if k == 1 else 0.7)


def png(figure: Figure) -> str:
    """The figure as base64."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return base64.b64encode(buffer.getvalue()).decode()
