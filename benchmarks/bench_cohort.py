"""Where the time of a cohort build goes: stages of a person on one core, the floor, people an hour.

``python benchmarks/bench_cohort.py FOLDER [PEOPLE]``: a folder of ``spinelift simulate cohort``.
"""

import resource
import shutil
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom

from spinelift.cohort.build import Plan, build
from spinelift.cohort.record import STAGES
from spinelift.cohort.stages import Settings, process_visit
from spinelift.io.visits import Visit, find_visits

TARGET_S = 25.0


def floor(visit: Visit) -> float:
    """Seconds to unzip both archives and decode their pixels, and nothing else."""
    start = time.perf_counter()
    for path in (visit.dxa, visit.mri):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                data = archive.read(name)
                if data[128:132] == b"DICM" or name.endswith(".dcm"):
                    _ = pydicom.dcmread(BytesIO(data), force=True).pixel_array
    return time.perf_counter() - start


@contextmanager
def quiet(what: str, total: int):
    yield lambda count: None


def people_an_hour(folder: Path, workers: int) -> float:
    out = Path(tempfile.mkdtemp())
    start = time.perf_counter()
    plan = Plan(folder / "dxa", folder / "mri", out / "store", workers=workers)
    manifest = build(plan, digest=plan.settings.load_and_hash(), progress=quiet, log=lambda _: None)
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    return 3600 * len(manifest) / seconds


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 4
    visits = find_visits(folder / "dxa", folder / "mri").visits[:count]
    settings = Settings()
    digest = settings.load_and_hash()
    records = [process_visit(v, settings, digest) for v in visits]
    print(f"{'stage':12} seconds, mean of {len(records)} people on one core")
    total = 0.0
    for stage in STAGES:
        values = [r.seconds[stage] for r in records if stage in r.seconds]
        if values:
            total += float(np.mean(values))
            print(f"{stage:12} {np.mean(values):6.2f}")
    print(f"{'whole':12} {total:6.2f}  (target {TARGET_S:.0f})")
    print(f"{'floor':12} {np.mean([floor(v) for v in visits]):6.2f}  unzip and decode alone")
    print(f"peak memory  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB (target 1.5)")
    if "--rate" in sys.argv:
        one, two = (people_an_hour(folder, n) for n in (1, 2))
        print(f"people an hour: {one:.0f} with one worker, {two:.0f} with two")
        print(f"gain {two / one:.2f} (target 1.7)")


if __name__ == "__main__":
    main()
