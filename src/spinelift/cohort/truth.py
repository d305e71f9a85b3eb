"""A build of simulated people against the ground truth: defects, alignment, curves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from spinelift.align import MIN_OVERLAP
from spinelift.align.plane import DXA, MRI
from spinelift.cohort.manifest import PARTS
from spinelift.cohort.record import STATUSES, part_path, read_part
from spinelift.curves import CORONAL, SAGITTAL, resample_rows, zero_sagittal
from spinelift.errors import NoScansError
from spinelift.evaluate.bootstrap import mean_estimate, resample_counts
from spinelift.geometry import SPINE_CROP_ROWS, RigidTransform2D
from spinelift.geometry.arrays import Float
from spinelift.io.truth import MriTruth, PlantedTrap, SimulatedTruth, read_truth, truth_path
from spinelift.io.ukb_names import visit_key

REFUSALS = ("IncompleteScanError", "NoDixonInArchiveError", "AmbiguousScanError")
"""Errors by which a trap is refused rather than corrected."""


@dataclass(frozen=True)
class Quantity:
    """Distribution of an error."""

    name: str
    unit: str
    values: Float

    def to_json(self) -> dict[str, Any]:
        """Number, mean with 95 % bootstrap interval over visits, and 95th percentile."""
        document = {"name": self.name, "unit": self.unit, "n": len(self.values)}
        if not len(self.values):
            return document
        mean = mean_estimate(self.values, resample_counts(len(self.values)))
        p95 = float(np.percentile(self.values, 95))
        return {**document, "mean": mean.value, "interval95": [mean.low, mean.high], "p95": p95}


@dataclass(frozen=True)
class Verdict:
    """What a build did with simulated people.

    ``traps``: rows of trap, planted, detected, corrected, reported, refused, missed. ``quantities``: errors.
    ``filtered``: good and bad pairs (by ``MIN_OVERLAP`` with the true transform), how many of them were kept,
    rejected and failed.
    """

    traps: list[dict[str, Any]]
    quantities: list[Quantity]
    filtered: dict[str, dict[str, int]]

    def to_json(self) -> dict[str, Any]:
        """As plain lists and numbers."""
        errors = [q.to_json() for q in self.quantities]
        return {"traps": self.traps, "errors": errors, "filter": self.filtered}


def judge(store: Path, manifest: pl.DataFrame, truth: Path) -> Verdict:
    """Compare every visit of a build that has a truth; raises NoScansError if none has."""
    traps: dict[str, dict[str, int]] = {}
    errors: dict[str, list[float]] = {name: [] for name in _UNITS}
    filtered = {kind: dict.fromkeys(STATUSES, 0) for kind in ("good", "bent too far")}
    for row in manifest.iter_rows(named=True):
        path = truth_path(truth, visit_key(row["eid"], row["instance"]))
        if not path.is_file():
            continue
        known = read_truth(path)
        mri = known.pair
        _count_traps(traps, mri.traps, row)
        kind = "good" if mri.to_dxa.iou >= MIN_OVERLAP else "bent too far"
        filtered[kind][row["status"]] += 1
        if row["iou"] is not None and kind == "good":
            _alignment_errors(errors, mri, row)
        if row["kept"]:
            _curve_errors(errors, known, store, row)
    if not any(any(counts.values()) for counts in filtered.values()):
        raise NoScansError(
            found=f"no truth of these visits in {truth}",
            expected="the folder truth/ of `spinelift simulate cohort`",
            do="Check --truth.",
        )
    quantities = [Quantity(name, _UNITS[name], np.array(v)) for name, v in errors.items()]
    return Verdict([{"trap": name, **counts} for name, counts in sorted(traps.items())], quantities, filtered)


_UNITS = {
    "rotation, stage 1": "°", "translation, stage 1": "mm", "rotation, stage 2": "°",
    "translation, stage 2": "mm", "IoU, stage 2": "", "IoU, true transform": "", "coronal MAE": "mm",
    "sagittal MAE": "mm", "sagittal MAE, tilt taken out": "mm",
}  # fmt: skip


def _count_traps(
    traps: dict[str, dict[str, int]], planted: tuple[PlantedTrap, ...], row: dict[str, Any]
) -> None:
    findings = json.loads(row["findings"])
    for trap in planted:
        names = ("planted", "detected", "corrected", "reported", "refused", "missed")
        counts = traps.setdefault(trap.trap, dict.fromkeys(names, 0))
        counts["planted"] += 1
        actions = {f["action"] for f in findings if f["trap"] == trap.trap}
        if actions:
            counts["detected"] += 1
            counts["corrected" if "corrected" in actions else "reported"] += 1
        elif row["stage"] == "mri" and row["error"] in REFUSALS:
            counts["detected"] += 1
            counts["refused"] += 1
        else:
            counts["missed"] += 1


def _alignment_errors(errors: dict[str, list[float]], mri: MriTruth, row: dict[str, Any]) -> None:
    """Rotation, and distance of the MRI spine's middle from where the true transform puts it."""
    centres = mri.vertebra_centres_mm[:, [0, 2]].mean(0)
    place = mri.to_dxa.transform.apply(centres)
    for stage, suffix in (("stage 1", "_stage1"), ("stage 2", "")):
        turn, dx_mm, dz_mm = (row[f"{k}{suffix}"] for k in ("rotation_deg", "dx_mm", "dz_mm"))
        errors[f"rotation, {stage}"].append(abs(turn - mri.to_dxa.rotation_deg))
        found = RigidTransform2D(turn, (dx_mm, dz_mm), MRI, DXA).apply(centres)
        errors[f"translation, {stage}"].append(float(np.linalg.norm(found - place)))
    errors["IoU, stage 2"].append(row["iou"])
    errors["IoU, true transform"].append(mri.to_dxa.iou)


def _curve_errors(
    errors: dict[str, list[float]], known: SimulatedTruth, store: Path, row: dict[str, Any]
) -> None:
    """Curves of the pipeline against the true ones at the same heights, mm.

    Coronal truth is the DXA's pose; sagittal truth the MRI's, whose curves are what a pair can teach.
    """
    record = read_part(part_path(store / PARTS, f"{row['eid']}_{row['instance']}"))
    assert record.curves is not None
    size, values = record.values["mm_per_px"], record.values
    z = values["z0_mm"] + SPINE_CROP_ROWS * size
    got = record.curves.astype(np.float64) * size
    got[CORONAL] += values["x0_mm"]
    coronal = resample_rows(known.dxa.z_mm, known.dxa.curves_mm, z)[CORONAL]
    errors["coronal MAE"].append(float(np.abs(got[CORONAL] - coronal).mean()))
    mri = known.pair
    left, _, right, *sagittal = mri.curves_mm
    height = mri.to_dxa.transform.apply(np.stack([(left + right) / 2, mri.z_mm], 1))[:, 1]
    true = np.stack([np.interp(z, height, curve) for curve in sagittal])
    error = zero_sagittal(got)[SAGITTAL] - (true - true[1].mean())
    errors["sagittal MAE"].append(float(np.abs(error).mean()))
    slope = np.polyfit(z, error.mean(0), 1)
    errors["sagittal MAE, tilt taken out"].append(float(np.abs(error - np.polyval(slope, z)).mean()))
