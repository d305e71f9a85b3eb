"""Figures of a study: one entry a figure, with its 95 % bootstrap interval over people."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from spinelift.evaluate.agreement import bland_altman, detection
from spinelift.evaluate.bootstrap import Estimate, mean_estimate, people_counts
from spinelift.evaluate.metrics import METRICS, unit_of
from spinelift.geometry.arrays import Bool, Float
from spinelift.measures import SCOLIOSIS_DEG, SCOLIOSIS_LOWER_DEG
from spinelift.study.people import all_groups, group_names
from spinelift.study.scores import ANGLES, LEVELS, Scored

POOLED = "pooled"
GROUP_METRICS = (
    "coronal_mae_mm", "sagittal_mae_mm", "deviation3d_mm", "iou3d", "ferguson_error_deg",
    "kyphosis_error_deg", "lordosis_error_deg",
)  # fmt: skip
"""Metrics that are also given by group."""


class Entry(NamedTuple):
    """One figure. ``fold`` is a number or ``pooled``; ``group`` is empty for all people."""

    table: str
    part: str
    model: str
    fold: str
    group: str
    metric: str
    unit: str
    people: int
    pairs: int
    value: float
    low: float
    high: float


def entries_of(
    part: str, model: str, folds: list[Scored], traits: Mapping[int, dict[str, Any]], smallest_group: int
) -> Iterator[Entry]:
    """Every figure of a model on one part of the people, from its folds.

    Pooled figures are over the pairs of all folds. The bootstrap draws people, each with all pairs.
    """
    whole = Scored.join(folds)
    for name, scored in [(POOLED, whole), *((str(int(s.fold[0])), s) for s in folds)]:
        counts = people_counts(scored.eid)
        people = len(np.unique(scored.eid))
        for table, group, metric, estimate in _figures(scored, counts, name == POOLED):
            yield _entry(table, part, model, name, group, metric, (people, len(scored)), estimate)
    for group, chosen in groups_of(whole, traits).items():
        people = len(np.unique(whole.eid[chosen]))
        if people >= smallest_group:
            counts = people_counts(whole.eid[chosen])
            for metric in (m for m in GROUP_METRICS if m in whole.metrics):
                mean = mean_estimate(whole.metrics[metric][chosen], counts)
                yield _entry("groups", part, model, POOLED, group, metric, (people, int(chosen.sum())), mean)


def groups_of(scored: Scored, traits: Mapping[int, dict[str, Any]]) -> dict[str, Bool]:
    """Groups of the pairs [n], by sex, age, height and severity, as far as known."""
    names = [
        group_names(traits.get(int(eid), {}), angle)
        for eid, angle in zip(scored.eid, scored.angles["true_ferguson"], strict=True)
    ]
    masks = {group: np.array([group in n for n in names]) for group in all_groups()}
    return {group: mask for group, mask in masks.items() if mask.any()}


def _figures(scored: Scored, counts: Float, pooled: bool) -> Iterator[tuple[str, str, str, Estimate]]:
    """(table, group, metric, estimate)."""
    for metric in (m for m in METRICS if m in scored.metrics):
        yield "metrics", "", metric, mean_estimate(scored.metrics[metric], counts)
    angles = scored.angles
    for cut in (SCOLIOSIS_DEG, SCOLIOSIS_LOWER_DEG):
        found = detection(angles["ferguson"], angles["true_ferguson"], cut, counts)
        for name, estimate in found.items():
            yield "detection", f"{cut:g}°", name, estimate
    for angle in ANGLES:
        for name, estimate in bland_altman(angles[angle], angles[f"true_{angle}"], counts).items():
            yield "agreement", angle, name, estimate
    if pooled and scored.covered.size:
        for k, level in enumerate(LEVELS):
            for view, name in enumerate(("coronal", "sagittal")):
                covered = mean_estimate(100 * scored.covered[:, view, k], counts)
                yield "intervals", f"{100 * level:g} %", f"{name}_coverage_percent", covered


def _entry(
    table: str, part: str, model: str, fold: str, group: str, metric: str, n: tuple[int, int], e: Estimate
) -> Entry:
    values = (round(float(v), 5) for v in (e.value, e.low, e.high))
    return Entry(table, part, model, fold, group, metric, unit_of(metric), *n, *values)
