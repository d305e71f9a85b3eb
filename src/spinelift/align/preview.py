"""Picture of one registered pair (paper, Figure 2): DXA, MRI before, after stage 1, after stage 2."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spinelift.align.pipeline import Alignment
from spinelift.align.plane import PairMasks, PlaneImage
from spinelift.geometry import PixelGrid, RigidTransform2D
from spinelift.geometry.arrays import Float32

STEP_MM, DPI = 2.0, 110
MIN_REGION_MM = 40.0
"""Where DXA and MRI share less than this, the whole DXA is shown."""
INK, SOFT, OF_DXA, OF_MRI = "#1d2733", "#5f6b7a", "#ffd43b", "#ff6b6b"


def preview_png(
    alignment: Alignment,
    dxa: PlaneImage,
    mri: PlaneImage,
    masks: PairMasks | None,
    *,
    sources: tuple[str, str] | None = None,
) -> bytes:
    """PNG with a panel for each step, all in the DXA's millimetres over the part that the MRI shows.

    ``sources`` says where the masks of DXA and MRI are from.
    """
    steps = {"Projection, before": alignment.before, "After stage 1": alignment.image}
    if alignment.spine:
        steps["After stage 2"] = alignment.spine.transform
    grid = _region(dxa.grid, mri.grid, alignment.transform)
    count, (rows, cols) = len(steps) + 1, grid.shape
    width, top, bottom = 3.0, 0.7, 0.35
    height = width * rows / cols
    figure = Figure((count * (width + 0.1) + 0.1, height + top + bottom), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    total_w, total_h = figure.get_size_inches()

    def panel(k: int, pixels: Float32, title: str, note: str) -> Axes:
        left = (0.1 + k * (width + 0.1)) / total_w
        axes = figure.add_axes((left, bottom / total_h, width / total_w, height / total_h))
        axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=max(float(np.percentile(pixels, 99.7)), 1e-6))
        axes.set_axis_off()
        axes.set_title(f"{title}\n{note}", size=9, color=INK, loc="left")
        return axes

    axes = [panel(0, dxa.resample_to(grid).pixels[0], "DXA", "R on the left")]
    for k, (title, transform) in enumerate(steps.items(), 1):
        moved = mri.resample_to(grid, transform)
        pixels = np.where(moved.valid, moved.pixels.mean(0), 0.0).astype(np.float32)
        overlap = f"   IoU {alignment.iou[k - 1]:.3f}" if alignment.iou else ""
        axes.append(panel(k, pixels, title, f"{transform.rotation_deg:+.2f}°{overlap}"))
    if masks is not None:
        inside = masks.dxa.resample_to(grid).values
        for one in axes:
            one.contour(inside, levels=[0.5], colors=OF_DXA, linewidths=0.9)
        for one, transform in zip(axes[1:], steps.values(), strict=True):
            outline = masks.mri.resample_to(grid, transform).values
            if outline.max() > 0.5:
                one.contour(outline, levels=[0.5], colors=OF_MRI, linewidths=0.9)
    figure.text(0.1 / total_w, 0.12 / total_h, _legend(alignment, sources), size=8, color=SOFT)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": "spinelift"})
    return data.getvalue()


def _legend(alignment: Alignment, sources: tuple[str, str] | None) -> str:
    if alignment.spine is None:
        return "No masks: stage 1 only."
    rejected = f"rejected: the masks overlap by less than {alignment.min_iou:.2f}"
    verdict = "accepted" if alignment.accepted else rejected
    dxa, mri = (f" ({source})" for source in sources) if sources else ("", "")
    return f"Yellow: spine on the DXA{dxa}. Red: spine in the MRI{mri}. This pair is {verdict}."


def _region(dxa: PixelGrid, mri: PixelGrid, transform: RigidTransform2D) -> PixelGrid:
    """Square pixels over the part of the DXA where the MRI lies."""
    covered = transform.apply(mri.corners_mm)
    low = np.maximum(dxa.corners_mm.min(0), covered.min(0))
    high = np.minimum(dxa.corners_mm.max(0), covered.max(0))
    if (high - low < MIN_REGION_MM).any():
        low, high = dxa.corners_mm.min(0), dxa.corners_mm.max(0)
    return PixelGrid.covering(np.stack([low, high]), STEP_MM)
