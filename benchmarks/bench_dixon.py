"""Dixon zip to stitched volume: where the time goes, the floor, and peak memory, beside the targets.

Run: python benchmarks/bench_dixon.py [ARCHIVE ...]. Without an archive a phantom of real size is written.
Times are of the process (CPU), so that other work on the machine does not count.
"""

import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spinelift.io.dixon import read as dixon
from spinelift.simulate.archive.dixon import write_dixon_zip
from spinelift.simulate.archive.series import PIXEL_MM, STATION_PLANS, DixonStation

TARGET_S, TARGET_GB = 5.0, 1.5
STEPS = (
    "collect_slices",
    "build_stations",
    "find_cuts",
    "to_slab",
    "drop_bad_ends",
    "undo_swaps",
    "stitch",
    "find_voids",
)


def phantom(rng: np.random.Generator) -> list[DixonStation]:
    """An ellipse with a rim of fat, noisy, in six stations of real size."""
    series, top = [], 0.0
    for k, plan in enumerate(STATION_PLANS):
        y, x = np.ogrid[: plan.rows, : plan.columns]
        r = np.hypot((y - plan.rows / 2) / 55, (x - plan.columns / 2) / 80)
        fat = np.where(r > 0.85, 400.0, 60.0) * (r < 1)
        water = np.where(r > 0.85, 40.0, 350.0) * (r < 1)
        levels = {"in": fat + water, "opp": abs(water - fat), "F": fat, "W": water}
        for j, (contrast, clean) in enumerate(levels.items()):
            noise = rng.normal(0, 6, (plan.slices, plan.rows, plan.columns))
            volume = np.abs(clean + noise).round().astype(np.uint16)
            origin = (-PIXEL_MM * plan.columns / 2, -PIXEL_MM * plan.rows / 2, -top)
            spacing = (plan.dz_mm, PIXEL_MM, PIXEL_MM)
            number = 4 * k + j + 1
            series.append(
                DixonStation(number, contrast, plan.breath_hold, volume, origin, spacing, 3600.0 + 30 * k)
            )
        top += plan.dz_mm * plan.slices - 39.0
    return series


def floor_seconds(path: Path) -> float:
    """Unzip every member and look at its pixels: less cannot be done."""
    start = time.process_time()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith(".dcm"):
                np.frombuffer(data, "<u2", offset=len(data) % 2).max()
    return time.process_time() - start


def timed(name: str, spent: dict[str, float]) -> Callable[..., Any]:
    """A step of the reader that adds its seconds to ``spent``."""
    step = getattr(dixon, name)

    def run(*args: Any) -> Any:
        start = time.process_time()
        result = step(*args)
        spent[name] = spent.get(name, 0.0) + time.process_time() - start
        return result

    return run


def main() -> None:
    """Print one table an archive."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(p) for p in sys.argv[1:]]
        if not paths:
            rng = np.random.default_rng(0)
            paths = [write_dixon_zip(Path(folder), phantom(rng), eid=1, instance=2, rng=rng)]
        spent: dict[str, float] = {}
        for name in STEPS:
            setattr(dixon, name, timed(name, spent))
        for path in paths:
            spent.clear()
            floor = floor_seconds(path)
            start = time.process_time()
            dixon.read_dixon(path)
            total = time.process_time() - start
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            spent["rest"] = total - sum(spent.values())
            for name, seconds in (("floor: unzip + decode", floor), *spent.items()):
                print(f"{name:24s} {seconds:6.2f} s")
            print(f"{'whole':24s} {total:6.2f} s (target {TARGET_S:.0f})")
            print(f"{'peak memory':24s} {memory:6.2f} GB (target {TARGET_GB})")


if __name__ == "__main__":
    main()
