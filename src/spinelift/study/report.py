"""Report of a study: ``study.html``, ``study.json``, ``study.csv`` and ``profile.csv``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from spinelift.evaluate.metrics import METRICS
from spinelift.files import write_csv, write_json, write_whole
from spinelift.geometry import SPINE_ROWS
from spinelift.learn.export.card import read_record
from spinelift.store.rows import PairStore
from spinelift.study.figures import bland_altman_plot, cases, error_along_spine, interval_calibration
from spinelift.study.people import HELD_OUT, TEST, read_traits
from spinelift.study.scores import Scored
from spinelift.study.steps import BASELINES, TEST_TRUTH, Study
from spinelift.study.tables import GROUP_METRICS, POOLED, Entry, entries_of
from spinelift.version import __version__

PAPER = {"deviation3d_mm": 3.12, "iou3d": 0.838}
"""Reported for the paper's method, on UK Biobank's people."""
FOLD_METRICS = (
    "mae_mm",
    "coronal_mae_mm",
    "sagittal_mae_mm",
    "deviation3d_mm",
    "iou3d",
    "ferguson_error_deg",
)


SUMMARY = {
    "coronal_mae_mm": "MAE, coronal curves, mm",
    "sagittal_mae_mm": "MAE, sagittal curves, mm",
    "coronal_mae_px": "MAE, coronal curves, px",
    "sagittal_mae_px": "MAE, sagittal curves, px",
    "coronal_relative_error_percent": "RE, coronal curves, %",
    "sagittal_relative_error_percent": "RE, sagittal curves, %",
    "deviation3d_mm": "3D deviation, mm",
    "iou3d": "3D IoU",
    "ferguson_error_deg": "Ferguson angle, error, °",
    "kyphosis_error_deg": "kyphosis T4 to T12, error, °",
    "lordosis_error_deg": "lordosis L1 to L5, error, °",
    "sagittal_coverage90_percent": "coverage of the 90 % interval, sagittal, %",
}


def write_report(study: Study, best: str, touched: dict[str, Any], people: Path | None) -> list[Path]:
    """Write the four files of a study whose steps are done; returns their paths."""
    networks = [entry.name for entry in study.plan.config.networks]
    parts = {TEST: [*networks, *BASELINES], HELD_OUT: [*networks, *BASELINES]}
    if study.plan.truth is not None:
        parts[TEST_TRUTH] = networks
    traits, smallest = read_traits(people), study.plan.config.smallest_group
    folds = range(study.plan.config.folds)
    pooled: dict[tuple[str, str], Scored] = {}
    entries: list[Entry] = []
    for part, models in parts.items():
        for model in models:
            scored = [Scored.load(study.scores_of(model, part, fold)) for fold in folds]
            entries += entries_of(part, model, scored, traits, smallest)
            pooled[part, model] = Scored.join(scored)
    document = {
        "spinelift_version": __version__, "settings": study.plan.config.model_dump(mode="json"),
        "best_in_cross_validation": best, "test_set": touched, "paper": PAPER, "runs": _runs(study),
        "entries": [entry._asdict() for entry in entries],
    }  # fmt: skip
    out = study.plan.out
    paths = [out / name for name in ("study.html", "study.json", "study.csv", "profile.csv")]
    profiles = {f"{part}, {model}": s for (part, model), s in pooled.items()}
    write_csv(paths[3], *_profile(profiles))
    write_csv(paths[2], Entry._fields, entries)
    write_json(paths[1], document)
    write_whole(paths[0], _page(study, document, entries, pooled, best))
    return paths


def _runs(study: Study) -> list[dict[str, Any]]:
    """What each training run was: parameters, steps, images, time, initial weights, last validation."""
    rows = []
    for entry, config in zip(study.plan.config.networks, study.training, strict=True):
        for fold in range(study.plan.config.folds):
            record = read_record(study.run_of(entry, fold))
            kept = {
                k: record.get(k)
                for k in ("parameters", "steps", "seconds", "init_from", "device", "validation")
            }
            images = record["steps"] * config.loop.batch
            rows.append(
                {"model": entry.name, "fold": fold, "people": record["people"], "images": images, **kept}
            )
    return rows


def _profile(models: Mapping[str, Scored]) -> tuple[list[str], list[list[float]]]:
    """Mean absolute error at each height: a column for each model and view."""
    columns = {
        f"{m}: {v}": s.error_mm[:, k].mean(0)
        for m, s in models.items()
        for k, v in enumerate(("coronal_mm", "sagittal_mm"))
    }
    table = np.stack([np.linspace(0, 1, SPINE_ROWS), *columns.values()], 1).round(4)
    return ["relative_height", *columns], table.tolist()


def _page(
    study: Study,
    document: dict[str, Any],
    entries: Sequence[Entry],
    pooled: Mapping[tuple[str, str], Scored],
    best: str,
) -> str:
    networks = [entry.name for entry in study.plan.config.networks]
    of_networks = {name: pooled[TEST, name] for name in networks}
    everything = of_networks | {name: pooled[TEST, name] for name in BASELINES}
    parts = list(dict.fromkeys(entry.part for entry in entries))
    loader = PackageLoader("spinelift.study", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["cell"] = _cell
    return environment.get_template("study.html").render(
        document=document, parts=parts, best=best, networks=networks, paper=PAPER, metrics=METRICS,
        summary=SUMMARY,
        compared=[entry.name for entry in study.plan.config.networks if entry.curves == "truth"],
        table=_Pivot(entries), fold_metrics=FOLD_METRICS, group_metrics=GROUP_METRICS,
        models={part: list(dict.fromkeys(e.model for e in entries if e.part == part)) for part in parts},
        folds=[POOLED, *map(str, range(study.plan.config.folds))],
        along=error_along_spine(everything), calibration=interval_calibration(of_networks),
        agreement=bland_altman_plot(pooled[TEST, best]), cases=_cases(study, pooled[TEST, best]),
    )  # fmt: skip


class _Pivot:
    """Entries by their keys, for the template."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = {(e.table, e.part, e.model, e.fold, e.group, e.metric): e for e in entries}
        self._all = entries

    def get(self, table: str, part: str, model: str, fold: str, group: str, metric: str) -> Entry | None:
        return self._entries.get((table, part, model, fold, group, metric))

    def keys(self, table: str, part: str, field: str) -> list[str]:
        """Values of a field, in the order of the entries."""
        return list(dict.fromkeys(getattr(e, field) for e in self._all if (e.table, e.part) == (table, part)))

    def people(self, part: str, group: str, fold: str = POOLED) -> int:
        """People behind the figures of a group, or of a fold."""
        return next(e.people for e in self._all if (e.part, e.group, e.fold) == (part, group, fold))


def _cell(entry: Entry | None) -> str:
    """A figure with its interval."""
    if entry is None:
        return ""
    digits = 3 if entry.metric in ("iou3d", "auc", "sensitivity", "specificity") else 2
    if not np.isfinite(entry.low):
        return f"{entry.value:.{digits}f}"
    return f"{entry.value:.{digits}f} ({entry.low:.{digits}f} to {entry.high:.{digits}f})"


def _cases(study: Study, scored: Scored) -> str:
    """Best, median and worst test pairs of a network by the 3D deviation; of its first fold."""
    first = np.flatnonzero(scored.fold == scored.fold[0])
    deviation = scored.metrics["deviation3d_mm"][first]
    order = np.argsort(deviation)
    chosen = order[[0, len(order) // 2, -1]]
    pairs = PairStore.open(study.store_of("test")).load().take(chosen)
    titles = [
        f"{what}: {deviation[k]:.1f} mm" for what, k in zip(("best", "median", "worst"), chosen, strict=True)
    ]
    return cases(pairs.image, pairs.curves, scored.curves[first][chosen], titles)
