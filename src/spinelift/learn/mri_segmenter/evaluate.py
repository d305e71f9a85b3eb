"""The MRI segmenter measured on people whose true column is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.bundle.card import Metric
from spinelift.errors import NoSpineError, SpineliftError
from spinelift.evaluate.bootstrap import mean_estimate, resample_counts
from spinelift.io.dixon.read import read_dixon
from spinelift.learn.mri_segmenter.reference import Column, Example, column_of_spine
from spinelift.segment.mri import WINDOW, MriSegmenter, MriSpine, Window


def evaluate_segmenter(examples: Sequence[Example], networks: Path | None = None) -> dict[str, Any]:
    """Dice, distance of the centre lines and of the ends, mm: mean and 95 % bootstrap interval over people.

    ``not_found`` are people whose MRI could be read but in whom no spine was found.
    """
    segmenter = MriSegmenter.load(networks)
    rows: list[tuple[float, float, float, float]] = []
    not_found = 0
    for example in examples:
        try:
            volume = read_dixon(example.archive)
            column = example.column(volume)
        except SpineliftError:  # counted when the people were read
            continue
        try:
            spine = segmenter.segment(volume)
        except NoSpineError:
            not_found += 1
            continue
        rows.append(compare(spine, column))
    out: dict[str, Any] = {"people": len(rows), "not_found": not_found}
    if rows:
        counts, names = resample_counts(len(rows)), ("dice", "centre_line_mm", "upper_end_mm", "lower_end_mm")
        for name, values in zip(names, np.array(rows).T, strict=True):
            out[name] = mean_estimate(values, counts).to_json()
    return out


def compare(spine: MriSpine, column: Column) -> tuple[float, float, float, float]:
    """Dice of the column, mean distance of the centre lines, and distances of the ends, mm.

    The centre line is compared at the heights that both have, in the axial plane.
    """
    line, true = spine.centre_line_mm, column.line_mm
    both = (line[:, 2] >= true[0, 2]) & (line[:, 2] <= true[-1, 2])
    x, y = (np.interp(line[both, 2], true[:, 2], true[:, axis]) for axis in (0, 1))
    distance = float(np.hypot(line[both, 0] - x, line[both, 1] - y).mean())
    _, rows, columns = np.nonzero(spine.mask)
    y0, x0 = (int(v.min() + v.max()) // 2 - WINDOW // 2 for v in (rows, columns))
    window = Window(y0, x0, np.zeros((2, 0, 0, 0), np.uint8))
    inside, mask = column.in_window(window) >= 0.5, column_of_spine(spine).in_window(window) >= 0.5
    dice = 2 * float((mask & inside).sum()) / max(float(spine.mask.sum() + inside.sum()), 1.0)
    top, bottom = column.ends_mm
    return dice, distance, abs(spine.top_mm - top), abs(spine.bottom_mm - bottom)


def card_metrics(figures: dict[str, Any], dataset: str) -> list[Metric]:
    """What ``evaluate_segmenter`` measured, as a card holds it."""
    people, missed = figures["people"], figures["not_found"]
    all_people = max(people + missed, 1)
    return [
        Metric(name="not_found", dataset=dataset, value=missed, unit="people", spines=all_people),
        *(
            Metric(
                name=name.removesuffix("_mm"), dataset=dataset, unit="mm" if name.endswith("_mm") else "",
                spines=people, **figure,
            )
            for name, figure in figures.items() if isinstance(figure, dict)
        ),
    ]  # fmt: skip
