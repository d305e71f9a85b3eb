"""Counts and distributions of a build, for its report and for export from a platform."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from spinelift.cohort.manifest import TIMES, read_table
from spinelift.cohort.record import FAILED, STAGES, STATUSES

SMALLEST_COUNT = 5
"""Smaller counts are suppressed."""
HISTOGRAMS: dict[str, tuple[float, float, int]] = {
    "iou": (0.0, 1.0, 20),
    "rotation_deg": (-6.0, 6.0, 24),
    "ferguson_deg": (0.0, 60.0, 12),
}
"""Column: first edge, last edge, bins. Values outside count in the outermost bins."""


def counts(manifest: pl.DataFrame) -> dict[str, Any]:
    """How many visits reached and passed each stage, and failures by cause."""

    def by_status(column: str) -> dict[str, int]:
        return {status: int((manifest[column] == status).sum()) for status in STATUSES}

    failed = manifest.filter(pl.col("status") == FAILED).group_by("stage", "error").agg(count=pl.len())
    failures = failed.sort("count", "stage", "error", descending=[True, False, False])
    kept = manifest.filter(pl.col("kept")).group_by("split")
    splits = kept.agg(pairs=pl.len(), scoliosis=pl.col("scoliosis").mean()).sort("split")
    return {
        "visits": len(manifest),
        "people": manifest["eid"].n_unique(),
        **by_status("status"),
        "stages": [{"stage": stage, **by_status(f"stage_{stage}")} for stage in STAGES],
        "failures": failures.to_dicts(),
        "splits": [{**r, "scoliosis": round(r["scoliosis"], 4)} for r in splits.iter_rows(named=True)],
    }


def histogram(manifest: pl.DataFrame, column: str) -> dict[str, Any]:
    """Edges and counts of a column of ``HISTOGRAMS``."""
    low, high, bins = HISTOGRAMS[column]
    values = manifest[column].drop_nulls().to_numpy()
    count, edges = np.histogram(np.clip(values, low, high), bins, (low, high))
    return {"edges": edges.round(6).tolist(), "count": count.tolist()}


def seconds(store: Path) -> dict[str, float]:
    """Mean seconds of each stage over the visits that ran it."""
    means = read_table(store / TIMES).drop("eid", "instance").mean().to_dicts()
    return {stage: round(mean, 3) for row in means for stage, mean in row.items() if mean is not None}


def aggregates(manifest: pl.DataFrame, store: Path) -> dict[str, Any]:
    """Export for platforms that forbid individual-level data: no person, no small count.

    A count from 1 to 4 is given as "<5", as is every count from which it could be computed by subtraction:
    the next smallest of its group.
    """
    document = counts(manifest)
    for group in (document["stages"], document["splits"], document["failures"]):
        for name in {k for row in group for k, v in row.items() if isinstance(v, int)}:
            for row, value in zip(group, suppress([r[name] for r in group]), strict=True):
                row[name] = value
    for row in document["splits"]:
        rarer = min(row["scoliosis"], 1 - row["scoliosis"])
        if not isinstance(row["pairs"], int) or row["pairs"] * rarer < SMALLEST_COUNT:
            row["scoliosis"] = f"<{SMALLEST_COUNT} people with or without"
    suppressed = dict(zip(STATUSES, suppress([document[s] for s in STATUSES]), strict=True))
    suppressed |= {total: suppress([document[total]])[0] for total in ("visits", "people")}
    histograms = {c: histogram(manifest, c) for c in HISTOGRAMS}
    for h in histograms.values():
        h["count"] = suppress(h["count"])
    return {**document, **suppressed, "histograms": histograms, "seconds": seconds(store)}


def suppress(values: list[int]) -> list[int | str]:
    """Hide counts of 1 to 4, and one more where a lone hidden count could be found by subtraction."""
    hidden = {k for k, v in enumerate(values) if 0 < v < SMALLEST_COUNT}
    if len(hidden) == 1:
        others = [k for k, v in enumerate(values) if v and k not in hidden]
        if others:
            hidden.add(min(others, key=lambda k: values[k]))
    return [f"<{max(SMALLEST_COUNT, v + 1)}" if k in hidden else v for k, v in enumerate(values)]
