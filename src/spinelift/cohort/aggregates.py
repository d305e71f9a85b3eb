"""Counts of a build for its report, and the export that may leave a platform for individual-level data."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from scipy.stats import binomtest

from spinelift.cohort.manifest import TIMES, read_table
from spinelift.cohort.record import DONE, FAILED, REJECTED, STAGES, STATUSES
from spinelift.measures import SCOLIOSIS_DEG, SCOLIOSIS_LOWER_DEG

SMALLEST_COUNT = 5
"""Fewest people that an exported number may be about."""
OTHER = "other"
"""Name of the cells of a partition that are exported as one."""
EDGES: dict[str, tuple[float, ...]] = {
    "iou": tuple(k / 20 for k in range(21)),
    "rotation_deg": tuple(k / 2 for k in range(-12, 13)),
    "ferguson_deg": (0.0, 2.0, 4.0, SCOLIOSIS_LOWER_DEG, 8.0, SCOLIOSIS_DEG, 15.0, 20.0, 30.0, 40.0, 60.0),
}
"""Columns that are exported as histograms, and the edges of their bins. Outer bins hold what is beyond."""
SEVERITIES = (
    f"below {SCOLIOSIS_LOWER_DEG:.0f}°", f"{SCOLIOSIS_LOWER_DEG:.0f}° to {SCOLIOSIS_DEG:.0f}°",
    f"{SCOLIOSIS_DEG:.0f}° or more", "not measured",
)  # fmt: skip
"""Classes of the modified Ferguson angle; the last one is of visits without a spine mask of the DXA."""

Row = Mapping[str, Any]
"""A visit: a row of the manifest."""


def counts(manifest: pl.DataFrame) -> dict[str, Any]:
    """How many visits reached and passed each stage, and failures by cause."""

    def by_status(column: str) -> dict[str, int]:
        return {status: int((manifest[column] == status).sum()) for status in STATUSES}

    failed = manifest.filter(pl.col("status") == FAILED).group_by("stage", "error").agg(count=pl.len())
    failures = failed.sort("count", "stage", "error", descending=[True, False, False])
    kept = manifest.filter(pl.col("kept")).group_by("split")
    splits = kept.agg(pairs=pl.len(), scoliosis=pl.col("scoliosis").sum()).sort("split")
    return {
        "visits": len(manifest),
        "people": manifest["eid"].n_unique(),
        **by_status("status"),
        "stages": [{"stage": stage, **by_status(f"stage_{stage}")} for stage in STAGES],
        "failures": failures.to_dicts(),
        "splits": [{**r, "scoliosis": share(r["scoliosis"], r["pairs"])} for r in splits.to_dicts()],
    }


def severity(ferguson_deg: float | None) -> str:
    """Class of an angle among ``SEVERITIES``."""
    if ferguson_deg is None:
        return SEVERITIES[3]
    return SEVERITIES[(ferguson_deg >= SCOLIOSIS_LOWER_DEG) + (ferguson_deg >= SCOLIOSIS_DEG)]


def outcomes(manifest: pl.DataFrame) -> list[dict[str, Any]]:
    """Of each class of severity, how many visits there are, and how many of them had which status."""
    rows = manifest.select("ferguson_deg", "status").iter_rows()
    tally = Counter((severity(angle), status) for angle, status in rows)
    table = [{"severity": name, **{s: tally[name, s] for s in STATUSES}} for name in SEVERITIES]
    return [{**row, "visits": sum(row[s] for s in STATUSES)} for row in table]


def share(part: int, whole: int) -> str:
    """``"3 of 40 (7.5 %; 2.6 to 19.9)"``: a share with its 95 % interval (Wilson 1927); "–" of nothing."""
    if not whole:
        return "–"
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    value, low, high = (100 * number for number in (part / whole, interval.low, interval.high))
    return f"{part} of {whole} ({value:.1f} %; {low:.1f} to {high:.1f})"


def findings(manifest: pl.DataFrame) -> list[dict[str, Any]]:
    """Number of visits in which each flaw of the MRI was corrected or reported."""
    tally: Counter[tuple[str, str]] = Counter()
    for text in manifest["findings"]:
        tally.update({(f["trap"], f["action"]) for f in json.loads(text)})
    return [{"flaw": flaw, "action": action, "visits": n} for (flaw, action), n in sorted(tally.items())]


def seconds(store: Path, manifest: pl.DataFrame) -> dict[str, float]:
    """Mean seconds of each stage over the visits of ``manifest`` that ran it."""
    times = read_table(store / TIMES).join(manifest.select("eid", "instance"), on=["eid", "instance"])
    means = times.drop("eid", "instance").mean().to_dicts()
    return {stage: round(mean, 3) for row in means for stage, mean in row.items() if mean is not None}


def aggregates(manifest: pl.DataFrame, store: Path) -> dict[str, Any]:
    """Export for platforms that forbid individual-level data: of no person, and of no group of 1 to 4.

    See :func:`document`. The mean times are those of kept visits, if their number is exported.
    """
    columns = ["eid", "status", "stage", "error", *EDGES]
    exported = document(manifest.select(columns).to_dicts())
    if exported.get("outcome", {}).get(DONE):
        exported["seconds"] = seconds(store, manifest.filter(pl.col("kept")))
    return exported


def document(visits: Sequence[Row]) -> dict[str, Any]:
    """Numbers of visits: by outcome, of the failed by cause; histograms of the kept and of the rejected.

    The numbers form a tree: each group is divided only if its own number is exported, and every division is
    of one column. So all sums are those of exported numbers, and subtraction gives nothing else. Each
    division pools its small cells (``pool``, ``histogram``). Splits are left out: they are 80:10:10 by
    design, and their exact sizes follow from the number of scoliotic people. The number of people is left out
    where fewer than 5 come twice.
    """
    people = len({row["eid"] for row in visits})
    if people < SMALLEST_COUNT:
        return {"people": f"<{SMALLEST_COUNT}"}
    outcome = pool(divide(visits, lambda row: row["status"]))
    out: dict[str, Any] = {"smallest_count": SMALLEST_COUNT, "visits": len(visits), "outcome": outcome}
    if len(visits) - people >= SMALLEST_COUNT:
        out["people"] = people
    for status in STATUSES:
        group = [row for row in visits if row["status"] == status]
        if not outcome.get(status):
            continue
        if status == FAILED:
            out["failures"] = pool(divide(group, lambda row: f"{row['stage']}: {row['error']}"))
        if status in (DONE, REJECTED):
            out[status] = {column: histogram(group, column) for column in EDGES}
    return out


def divide(visits: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[int]]:
    """Participants of the visits, once a visit, by a key."""
    cells: dict[str, list[int]] = {}
    for row in visits:
        cells.setdefault(key(row), []).append(row["eid"])
    return cells


def pool(cells: Mapping[str, list[int]]) -> dict[str, int]:
    """Number of visits in each cell of a division, given the participant of each visit.

    Cells of 1 to 4 people are added up as ``OTHER``, with the smallest of all other cells (all of them where
    several are equal). Which cells are pooled depends on their numbers alone: exchange two numbers within the
    pool and the same is exported. As one is below 5 and another is not, none is determined. Empty cells must
    be left out: nothing says how many cells a pool has.
    """
    small = {name for name, eids in cells.items() if len(set(eids)) < SMALLEST_COUNT}
    rest = {name: len(eids) for name, eids in cells.items() if name not in small}
    if small and rest:
        small |= {name for name, number in rest.items() if number == min(rest.values())}
    out = {name: len(cells[name]) for name in sorted(cells.keys() - small)}
    return out | ({OTHER: sum(len(cells[name]) for name in small)} if small else {})


def histogram(visits: Sequence[Row], column: str) -> dict[str, Any]:
    """Numbers of visits between edges: bins of ``EDGES``, joined from above until each has 5 people.

    What is left at the lower end joins the last bin, so that no bin is empty or small.
    """
    edges = EDGES[column]
    cells = divide(visits, lambda row: str(sum(row[column] >= edge for edge in edges[1:-1])))
    kept_edges, numbers, people = [edges[-1]], [0], set[int]()
    for k in reversed(range(len(edges) - 1)):
        eids = cells.get(str(k), [])
        numbers[-1] += len(eids)
        people |= set(eids)
        if len(people) >= SMALLEST_COUNT:
            kept_edges.append(edges[k])
            numbers.append(0)
            people = set()
    rest = numbers.pop()
    numbers[-1] += rest
    kept_edges[-1] = edges[0]
    return {"edges": kept_edges[::-1], "count": numbers[::-1]}
