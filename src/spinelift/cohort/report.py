"""HTML report of a build: counts and causes, who was excluded, times, charts and overlays."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spinelift.cohort.aggregates import counts, findings, outcomes, seconds, share
from spinelift.cohort.manifest import PARTS
from spinelift.cohort.record import Record, part_path, read_part
from spinelift.cohort.truth import Verdict
from spinelift.curves import CORONAL, Curve
from spinelift.files import write_whole
from spinelift.geometry import CROP_SIZE, SPINE_CROP_ROWS
from spinelift.io.ukb_names import visit_key

PAPER_PEOPLE, PAPER_CORES = 48_384, 100
OVERLAYS = 12
"""Pairs of each of both samples that are shown."""
OVERLAY_INCHES, OVERLAY_DPI, JPEG_QUALITY = (8.0, 6.1), 115, 80
"""Size of an overlay: 920 pixels across, about 100 kB, so that the page stays below 4 MB."""
MARGINS = {"left": 0.065, "right": 0.995, "bottom": 0.075, "top": 0.995, "wspace": 0.02}
SAGITTAL_HALF_MM = 70.0
"""Half width of the side view."""
OF_DXA, OF_MRI, LINE, SIDE = "#4cc9f0", "#f9c74f", "#ff5d5d", "#4f8f4a"


def write_report(store: Path, manifest: pl.DataFrame, out: Path, verdict: Verdict | None = None) -> None:
    """Write the page. Its pictures show bodies, so it must stay on the platform of the images."""
    aligned = manifest.filter(pl.col("iou").is_not_null())
    kept = aligned.filter(pl.col("kept"))
    times = seconds(store, manifest)
    total = sum(times.values())
    loader = PackageLoader("spinelift.cohort", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["share"] = lambda pair: share(*pair)
    page = environment.get_template("report.html").render(
        counts=counts(manifest),
        outcomes=outcomes(manifest),
        seconds=times,
        total=total,
        hours=PAPER_PEOPLE * total / PAPER_CORES / 3600,
        people=PAPER_PEOPLE,
        cores=PAPER_CORES,
        charts=_charts(manifest, aligned),
        samples={
            "Kept pairs, random sample": _overlays(store, _sample(kept)),
            "Pairs with the lowest overlap": _overlays(store, aligned.sort("iou").head(OVERLAYS)),
        },
        verdict=verdict.to_json() if verdict else None,
        findings=findings(manifest),
    )
    write_whole(out, page)


def _sample(kept: pl.DataFrame) -> pl.DataFrame:
    return kept.sample(min(OVERLAYS, len(kept)), seed=0, shuffle=True)


def _charts(manifest: pl.DataFrame, aligned: pl.DataFrame) -> list[dict[str, str]]:
    """Histograms as PNG in base 64, each with a text that says the same."""
    from_median = {name: pl.col(name) - pl.col(name).median() for name in ("dx_mm", "dz_mm")}
    charts = [
        (aligned, "Overlap of the masks", "intersection over union", pl.col("iou")),
        (aligned, "Rotation, MRI to DXA", "degrees", pl.col("rotation_deg")),
        (aligned, "Shift to the left, from its median", "mm", from_median["dx_mm"]),
        (aligned, "Shift to the feet, from its median", "mm", from_median["dz_mm"]),
        (
            manifest.filter(pl.col("ferguson_deg").is_not_null()), "Modified Ferguson angle of the DXA",
            "degrees", pl.col("ferguson_deg"),
        ),
    ]  # fmt: skip
    return [_chart(rows, title, unit, column) for rows, title, unit, column in charts if len(rows)]


def _chart(rows: pl.DataFrame, title: str, unit: str, column: pl.Expr) -> dict[str, str]:
    values = rows.select(column).to_series().to_numpy()
    kept = rows["kept"].to_numpy()
    figure = Figure(figsize=(4.2, 2.8), layout="constrained")
    axis = figure.subplots()
    labels = [f"kept ({kept.sum()})", f"excluded ({(~kept).sum()})"]
    axis.hist(
        [values[kept], values[~kept]], bins=20, stacked=True, color=["#33658a", "#d1495b"], label=labels
    )
    axis.set_xlabel(unit)
    axis.set_ylabel("visits")
    axis.set_title(title, fontsize=10)
    axis.legend(frameon=False, fontsize=8)
    low, middle, high = np.percentile(values, [5, 50, 95])
    alt = f"{title}, {unit}: {len(values)} visits, median {middle:.2f}, 90 % between {low:.2f} and {high:.2f}"
    return {"data": _picture(figure, "png", dpi=100), "alt": alt}


def _overlays(store: Path, rows: pl.DataFrame) -> list[dict[str, str]]:
    """One picture a pair, JPEG in base 64, with its caption."""
    shown = []
    for row in rows.iter_rows(named=True):
        key = visit_key(row["eid"], row["instance"])
        record = read_part(part_path(store / PARTS, key))
        bend = row["ferguson_deg"]
        outcome = "kept" if row["kept"] else row["status"]
        caption = f"{key}: {outcome}, overlap {row['iou']:.2f}, rotation {row['rotation_deg']:+.1f}°"
        caption += "" if bend is None else f", Ferguson {bend:.1f}°"
        data = _picture(_overlay(record), "jpeg", dpi=OVERLAY_DPI, pil_kwargs={"quality": JPEG_QUALITY})
        shown.append({"data": data, "caption": caption})
    return shown


def _overlay(record: Record) -> Figure:
    """Front view on the DXA's crop, and the side view beside it, on the same heights in mm."""
    size = record.values["mm_per_px"]
    height = CROP_SIZE * size
    figure = Figure(figsize=OVERLAY_INCHES)
    ratios = [height, 2 * SAGITTAL_HALF_MM]
    front, side = figure.subplots(1, 2, sharey=True, width_ratios=ratios, gridspec_kw=MARGINS)
    _front(front, record, size)
    z = SPINE_CROP_ROWS * size
    if record.curves is not None:
        for k in (Curve.ANTERIOR, Curve.SAGITTAL, Curve.POSTERIOR):
            side.plot(record.curves[k] * size, z, color=SIDE, lw=2 if k == Curve.SAGITTAL else 1)
    else:
        side.text(0.5, 0.5, "no curves:\nexcluded", transform=side.transAxes, ha="center", color="#777")
    side.set(xlim=(-SAGITTAL_HALF_MM, SAGITTAL_HALF_MM), xlabel="y, mm (to posterior)", aspect="equal")
    side.grid(True, color="#e3e7eb", lw=0.6)
    for axis, first, second in ((front, "R", "L"), (side, "A", "P")):
        axis.tick_params(labelsize=7)
        for x, text in ((0.03, first), (0.97, second)):
            colour = "white" if axis is front else "#555"
            axis.text(x, 0.98, text, transform=axis.transAxes, ha="center", va="top", color=colour)
    return figure


def _front(axis: Axes, record: Record, size: float) -> None:
    """The crop with both masks' outlines and the coronal curves."""
    assert record.image is not None
    extent = (-0.5 * size, (CROP_SIZE - 0.5) * size)
    axis.imshow(record.image, cmap="gray", vmin=0, vmax=255, extent=(*extent, *extent[::-1]))
    mm = np.arange(CROP_SIZE) * size
    if record.outlines is not None:
        masks = np.unpackbits(record.outlines, axis=2)[:, :, :CROP_SIZE]
        for bits, colour in zip(masks, (OF_DXA, OF_MRI), strict=True):
            if bits.any():
                axis.contour(mm, mm, bits, [0.5], colors=colour, linewidths=1.1)
    if record.curves is not None:
        for k in range(*CORONAL.indices(6)):
            width = 1.4 if k == Curve.CENTRE else 0.6
            axis.plot(record.curves[k] * size, SPINE_CROP_ROWS * size, color=LINE, lw=width)
    axis.set(xlabel="x, mm (to the patient's left)", ylabel="z, mm (to the feet)")


def _picture(figure: Figure, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **options)
    return base64.b64encode(buffer.getvalue()).decode()
