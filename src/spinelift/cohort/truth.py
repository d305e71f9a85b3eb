"""A build of simulated people against the ground truth: flaws of the MRI, alignment, curves."""

import json
from collections.abc import Iterable
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
from spinelift.io.dixon.volume import Trap
from spinelift.io.truth import MriTruth, PlantedTrap, SimulatedTruth, read_truth, truth_path
from spinelift.io.ukb_names import visit_key

REFUSAL = "IncompleteScanError"
REFUSED = (str(Trap.MISSING_STATION), str(Trap.GAP))
"""Error by which an MRI is refused, and the flaws that it is about; other flaws are then not assessed."""
UNKNOWN = (Trap.CUT_ARMS, Trap.OTHER_NAME, Trap.OTHER_IMAGES)
"""Flaws that are not planted; simulated arms are cut by themselves."""
ANY = "any of these"


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

    ``flaws``: for each flaw, and for any of them, in how many visits it was planted and in how many of these
    it was found (with refused ones), and how many visits without it there are and in how many of these it was
    found by mistake. ``quantities``: errors. ``filtered``: good and bad pairs (by ``MIN_OVERLAP`` with the
    true transform), how many of them were kept, rejected and failed.
    """

    flaws: list[dict[str, Any]]
    quantities: list[Quantity]
    filtered: dict[str, dict[str, int]]

    def to_json(self) -> dict[str, Any]:
        """As plain lists and numbers."""
        errors = [q.to_json() for q in self.quantities]
        return {"flaws": self.flaws, "errors": errors, "filter": self.filtered}


def judge(store: Path, manifest: pl.DataFrame, truth: Path) -> Verdict:
    """Compare every visit of a build that has a truth; raises NoScansError if none has."""
    flaws = {name: dict.fromkeys(_FLAW_COUNTS, 0) for name in (*_FLAWS, ANY)}
    errors: dict[str, list[float]] = {name: [] for name in _UNITS}
    filtered = {kind: dict.fromkeys(STATUSES, 0) for kind in ("good", "bent too far")}
    for row in manifest.iter_rows(named=True):
        path = truth_path(truth, visit_key(row["eid"], row["instance"]))
        if not path.is_file():
            continue
        known = read_truth(path)
        mri = known.pair
        _count_flaws(flaws, mri.traps, row)
        kind = "good" if mri.to_dxa.iou >= MIN_OVERLAP else "bent too far"
        filtered[kind][row["status"]] += 1
        if row["iou"] is not None and kind == "good":
            _alignment_errors(errors, mri, row)
        if row["kept"]:
            _curve_errors(errors, known, store, row)
    if not any(any(counts.values()) for counts in filtered.values()):
        raise NoScansError(
            found=f"no truth of these visits in {truth.name}",
            expected="the folder truth/ of `spinelift simulate cohort`",
            do="Check --truth.",
        )
    quantities = [Quantity(name, _UNITS[name], np.array(v)) for name, v in errors.items()]
    return Verdict([{"flaw": name, **counts} for name, counts in flaws.items()], quantities, filtered)


_UNITS = {
    "rotation, stage 1": "°", "translation, stage 1": "mm", "rotation, stage 2": "°",
    "translation, stage 2": "mm", "IoU, stage 2": "", "IoU, true transform": "", "coronal MAE": "mm",
    "sagittal MAE": "mm", "sagittal MAE, tilt taken out": "mm",
}  # fmt: skip


_FLAWS = tuple(str(trap) for trap in Trap if trap not in UNKNOWN)
_FLAW_COUNTS = ("planted", "found", "refused", "clean", "false_alarms")


def _count_flaws(flaws: dict[str, dict[str, int]], traps: Iterable[PlantedTrap], row: dict[str, Any]) -> None:
    """Add a visit to the counts of each flaw that could be assessed."""
    planted = {str(trap.trap) for trap in traps}
    found = {f["trap"] for f in json.loads(row["findings"])}.intersection(_FLAWS)
    assessed = _FLAWS
    refused = row["stage"] == "mri" and row["error"] == REFUSAL
    if refused:
        assessed = REFUSED
        found = planted.intersection(REFUSED) or {REFUSED[0]}
    elif not row["mri_sha256"]:
        return
    if found & planted or (found and not planted):
        found = {*found, ANY}
    if planted:
        planted.add(ANY)
    for name in (*assessed, ANY):
        counts = flaws[name]
        if name in planted:
            counts["planted"] += 1
            counts["found"] += name in found
            counts["refused"] += refused
        else:
            counts["clean"] += 1
            counts["false_alarms"] += name in found


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
