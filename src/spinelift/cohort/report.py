"""HTML report of a build: counts and causes, times, charts and overlays."""

import base64
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from spinelift.cohort.aggregates import counts, seconds
from spinelift.cohort.manifest import PARTS
from spinelift.cohort.record import Record, part_path, read_part
from spinelift.cohort.truth import Verdict
from spinelift.curves import CORONAL, SAGITTAL
from spinelift.files import write_whole
from spinelift.geometry import CROP_SIZE, SPINE_CROP_ROWS

PAPER_PEOPLE, PAPER_CORES = 48_384, 100
ON_SHEET = 12


def write_report(store: Path, manifest: pl.DataFrame, out: Path, verdict: Verdict | None = None) -> None:
    """Write the page. Its pictures show bodies, so it must stay on the platform of the images."""
    aligned = manifest.filter(pl.col("iou").is_not_null())
    kept = aligned.filter(pl.col("kept"))
    times = seconds(store)
    total = sum(times.values())
    loader = PackageLoader("spinelift.cohort", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("report.html").render(
        counts=counts(manifest),
        seconds=times,
        total=total,
        hours=PAPER_PEOPLE * total / PAPER_CORES / 3600,
        people=PAPER_PEOPLE,
        cores=PAPER_CORES,
        charts=_png(_charts(aligned)) if len(aligned) else "",
        random_sheet=_sheet(store, kept.sample(min(ON_SHEET, len(kept)), seed=0, shuffle=True)),
        worst_sheet=_sheet(store, aligned.sort("iou").head(ON_SHEET)),
        verdict=verdict.to_json() if verdict else None,
        findings=_findings(manifest),
    )
    write_whole(out, page)


def _findings(manifest: pl.DataFrame) -> list[dict[str, Any]]:
    """Number of visits in which each defect was corrected or reported."""
    tally: Counter[tuple[str, str]] = Counter()
    for text in manifest["findings"]:
        tally.update({(f["trap"], f["action"]) for f in json.loads(text)})
    return [{"trap": trap, "action": action, "visits": n} for (trap, action), n in sorted(tally.items())]


def _charts(aligned: pl.DataFrame) -> Figure:
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    axes = figure.subplots(1, 4)
    kept = aligned["kept"].to_numpy()
    columns = {
        "IoU": pl.col("iou"),
        "rotation, °": pl.col("rotation_deg"),
        "shift to the left, mm": pl.col("dx_mm") - pl.col("dx_mm").median(),
        "shift to the feet, mm": pl.col("dz_mm") - pl.col("dz_mm").median(),
    }
    for axis, (title, column) in zip(axes, columns.items(), strict=True):
        values = aligned.select(column).to_series().to_numpy()
        axis.hist([values[kept], values[~kept]], bins=20, stacked=True, color=["#33658a", "#d1495b"])
        axis.set_xlabel(title)
    axes[0].set_ylabel("visits")
    axes[0].legend(["kept", "rejected"], frameon=False)
    return figure


def _sheet(store: Path, rows: pl.DataFrame) -> str:
    """Crops with the outlines of both masks, and the curves of kept ones, as PNG; "" without rows."""
    if rows.is_empty():
        return ""
    across = 6
    down = -(-len(rows) // across)
    figure = Figure(figsize=(2.4 * across, 2.5 * down), layout="constrained")
    axes = np.atleast_1d(figure.subplots(down, across)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, row in zip(axes, rows.iter_rows(named=True), strict=False):
        record = read_part(part_path(store / PARTS, f"{row['eid']}_{row['instance']}"))
        _draw(axis, record)
        axis.set_title(f"IoU {row['iou']:.2f}", fontsize=8)
    return _png(figure)


def _draw(axis: Any, record: Record) -> None:
    assert record.image is not None
    axis.imshow(record.image, cmap="gray", vmin=0, vmax=255)
    if record.outlines is not None:
        masks = np.unpackbits(record.outlines, axis=2)[:, :, :CROP_SIZE]
        for bits, colour in zip(masks, ("#4cc9f0", "#f9c74f"), strict=True):
            if bits.any():
                axis.contour(bits, [0.5], colors=colour, linewidths=0.7)
    if record.curves is not None:
        for k in range(*SAGITTAL.indices(6)):
            axis.plot(CROP_SIZE - 30 + record.curves[k], SPINE_CROP_ROWS, color="#90be6d", linewidth=0.7)
        axis.plot(record.curves[CORONAL][1], SPINE_CROP_ROWS, color="#f94144", linewidth=0.7)
    axis.set_xlim(30, CROP_SIZE)


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return base64.b64encode(buffer.getvalue()).decode()
