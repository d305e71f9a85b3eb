"""Alignment of simulated pairs against the truth: stage 1, stage 2, what is rejected, and time.

Run: python benchmarks/bench_align.py COHORT CACHE [--encoders DIR|none] [--predicted] [--json FILE]

COHORT is a folder of ``spinelift simulate cohort``; CACHE keeps what was read from its archives. Masks are
the true ones; ``--predicted`` takes those of the shipped segmenters too. Times are of the process (CPU), on
as many threads as the environment allows.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinelift.align import MIN_OVERLAP
from spinelift.align.gradients import Features
from spinelift.align.masks import located_mask, pair_masks
from spinelift.align.onnx import choose_encoders
from spinelift.align.pipeline import Alignment, align_pair
from spinelift.align.plane import PairMasks, PlaneMask, project_mask
from spinelift.align.spine_level import overlap
from spinelift.errors import SpineliftError
from spinelift.evaluate.bootstrap import mean_estimate, resample_counts
from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing
from spinelift.inference.model import load_model
from spinelift.io import read_dxa
from spinelift.io.dixon.read import read_dixon
from spinelift.io.truth import MriTruth, read_truth, truth_path
from spinelift.io.visits import paired_visits
from spinelift.learn.aligner.pairs import CohortPair, load_cohort_pairs
from spinelift.segment.mri import MriSegmenter


@dataclass(frozen=True)
class Row:
    """One pair with one kind of masks."""

    name: str
    iou_true: float
    alignment: Alignment
    truth: MriTruth
    seconds: float

    def errors(self, transform: RigidTransform2D) -> tuple[float, float, float, float]:
        """Rotation, degrees; distance of the spine's middle from its true place, its x and z parts, mm."""
        middle, true = self.truth.vertebra_centres_mm[:, [0, 2]].mean(0), self.truth.to_dxa.transform
        x, z = transform.apply(middle) - true.apply(middle)
        turn = transform.rotation_deg - true.rotation_deg
        return abs(turn), float(np.hypot(x, z)), abs(float(x)), abs(float(z))


def predicted_masks(cohort: Path, cache: Path) -> dict[str, PairMasks]:
    """Masks that the shipped segmenters find; visits of which one finds none are left out, and told."""
    model, segmenter, found = load_model(), MriSegmenter.load(None), {}
    for visit in paired_visits(cohort):
        path = cache / f"{visit.key}.masks.npz"
        if not path.exists():
            try:
                volume = read_dixon(visit.mri)
                dxa = located_mask(model.locate(read_dxa(visit.dxa)))
                mri = project_mask(segmenter.segment(volume).mask, volume)
            except SpineliftError as error:
                print(f"left out: {visit.key}: {error}")
                continue
            save_masks(path, PairMasks(dxa, mri))
        found[visit.key] = load_masks(path)
    return found


def save_masks(path: Path, masks: PairMasks) -> None:
    held = {}
    for key, mask in (("dxa", masks.dxa), ("mri", masks.mri)):
        spacing = mask.grid.spacing
        held[key] = mask.values
        held[f"{key}_grid"] = np.array([*mask.grid.origin_mm, spacing.row_mm, spacing.col_mm])
    np.savez_compressed(path, **held)


def load_masks(path: Path) -> PairMasks:
    masks = []
    with np.load(path) as held:
        for key in ("dxa", "mri"):
            x, z, row_mm, col_mm = held[f"{key}_grid"]
            values = held[key]
            masks.append(PlaneMask(values, PixelGrid((x, z), Spacing(row_mm, col_mm), values.shape)))
    return PairMasks(*masks)


def measure(
    pairs: list[CohortPair], masks: dict[str, PairMasks], truths: Path, features: Features | None
) -> list[Row]:
    rows = []
    for pair in pairs:
        if pair.name not in masks:
            continue
        truth = read_truth(truth_path(truths, pair.name))
        true = pair_masks(truth)
        start = time.process_time()
        alignment = align_pair(pair.dxa, pair.mri, masks[pair.name], features=features)
        seconds = time.process_time() - start
        iou_true = overlap(true.dxa, true.mri, truth.pair.to_dxa.transform)
        rows.append(Row(pair.name, iou_true, alignment, truth.pair, seconds))
    return rows


def summary(rows: list[Row]) -> dict[str, object]:
    """Figures over pairs that can be aligned, and how the filter judges all."""
    good = [r for r in rows if r.iou_true >= MIN_OVERLAP]
    bent = [r for r in rows if r.iou_true < MIN_OVERLAP]
    counts = resample_counts(len(good))
    out: dict[str, object] = {"pairs": len(rows), "can_be_aligned": len(good)}
    for stage, pick in (("stage1", lambda a: a.image), ("stage2", lambda a: a.transform)):
        errors = np.array([r.errors(pick(r.alignment)) for r in good])
        for k, name in enumerate(("rotation_deg", "shift_mm", "shift_x_mm", "shift_z_mm")):
            mean = mean_estimate(errors[:, k], counts)
            p95 = np.percentile(errors[:, k], 95)
            out[f"{stage}_{name}"] = (
                f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}], 95th percentile {p95:.2f}"
            )
    for name, values in (
        ("iou_stage1", [r.alignment.iou[1] for r in good]),
        ("iou_stage2", [r.alignment.iou[2] for r in good]),
        ("iou_true_movement", [r.iou_true for r in good]),
    ):
        mean = mean_estimate(np.array(values), counts)
        out[name] = f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]"
    out["bent_too_far_rejected"] = f"{sum(not r.alignment.accepted for r in bent)} of {len(bent)}"
    out["good_lost"] = f"{sum(not r.alignment.accepted for r in good)} of {len(good)}"
    seconds = [r.seconds for r in rows]
    out["seconds"] = f"{np.mean(seconds):.2f} mean, {np.max(seconds):.2f} at most"
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--encoders", help="folder, or none: edge directions alone; else the shipped ones")
    parser.add_argument("--predicted", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pairs = load_cohort_pairs(options.cohort, options.cache)
    features = choose_encoders(options.encoders)
    truths = options.cohort / "truth"
    true = {}
    for pair in pairs:
        true[pair.name] = pair_masks(read_truth(truth_path(truths, pair.name)))
    kinds = {"true masks": true}
    if options.predicted:
        kinds["predicted masks"] = predicted_masks(options.cohort, options.cache)
    table = {name: summary(measure(pairs, masks, truths, features)) for name, masks in kinds.items()}
    for name, figures in table.items():
        print(f"\n{name}, {'encoders' if features else 'edge directions'}")
        for key, value in figures.items():
            print(f"  {key:26s} {value}")
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
