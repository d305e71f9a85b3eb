"""The MRI segmenter measured against the truth of simulated people, archives read as real ones are."""

from pathlib import Path
from typing import Any

import numpy as np

from spinelift.bundle.card import Metric
from spinelift.errors import NoSpineError, SpineliftError
from spinelift.evaluate.bootstrap import mean_estimate, resample_counts
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.truth import MriTruth, mri_with_truth, read_truth
from spinelift.learn.mri_segmenter.data import true_column
from spinelift.segment.mri import WINDOW, MriSegmenter, MriSpine, Window


def evaluate_cohort(cohort: Path, networks: Path | None = None) -> dict[str, Any]:
    """Dice, distance of the centre lines and of the ends, mm: mean and 95 % bootstrap interval over people.

    ``not_found`` are people whose MRI could be read but in whom no spine was found.
    """
    segmenter = MriSegmenter.load(networks)
    rows: list[tuple[float, float, float, float]] = []
    lost = 0
    for _, archive, path in mri_with_truth(cohort):
        truth = read_truth(path).pair
        try:
            volume = read_dixon(archive)
        except SpineliftError:  # a planted trap that is refused
            continue
        try:
            spine = segmenter.segment(volume)
        except NoSpineError:
            lost += 1
            continue
        rows.append(compare(spine, truth, volume))
    out: dict[str, Any] = {"people": len(rows), "not_found": lost}
    if rows:
        counts, names = resample_counts(len(rows)), ("dice", "centre_line_mm", "upper_end_mm", "lower_end_mm")
        for name, values in zip(names, np.array(rows).T, strict=True):
            out[name] = mean_estimate(values, counts).to_json()
    return out


def compare(spine: MriSpine, truth: MriTruth, volume: DixonVolume) -> tuple[float, float, float, float]:
    """Dice of the column, mean distance of the centre lines, and distances of the ends, mm.

    The centre line is compared at the heights that both have, in the axial plane.
    """
    z, (left, _, right, front, _, back) = truth.z_mm, truth.curves_mm
    middle = np.stack([(left + right) / 2, (front + back) / 2])
    line = spine.centre_line_mm
    both = (line[:, 2] >= z[0]) & (line[:, 2] <= z[-1])
    true = np.stack([np.interp(line[both, 2], z, m) for m in middle], 1)
    distance = float(np.linalg.norm(line[both, :2] - true, axis=1).mean())
    _, y, x = np.nonzero(spine.mask)
    y0, x0 = (max(int(v.min() + v.max()) // 2 - WINDOW // 2, 0) for v in (y, x))
    column = true_column(truth, volume, Window(y0, x0, np.zeros((2, 0, 0, 0), np.uint8))) >= 0.5
    part = np.zeros(column.shape, bool)
    cut = spine.mask[:, y0 : y0 + WINDOW, x0 : x0 + WINDOW] > 0
    part[:, : cut.shape[1], : cut.shape[2]] = cut
    voxels = float(spine.mask.sum()) + float(column.sum())
    dice = 2 * float((part & column).sum()) / max(voxels, 1.0)
    return dice, distance, abs(spine.top_mm - float(z[0])), abs(spine.bottom_mm - float(z[-1]))


def card_metrics(figures: dict[str, Any], dataset: str) -> list[Metric]:
    """What ``evaluate_cohort`` measured, as a card holds it."""
    people, lost = figures["people"], figures["not_found"]
    return [
        Metric(name="not_found", dataset=dataset, value=lost, unit="people", spines=max(people + lost, 1)),
        *(
            Metric(
                name=name.removesuffix("_mm"), dataset=dataset, unit="mm" if name.endswith("_mm") else "",
                spines=people, **figure,
            )
            for name, figure in figures.items() if isinstance(figure, dict)
        ),
    ]  # fmt: skip
