"""A build of made-up visits with made-up stages, to be killed: ``cohort_driver.py FOLDER OUT SECONDS``.

Worker processes import this module: it is found beside the script.
"""

import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from spinelift.cohort.build import Plan, build
from spinelift.cohort.record import DONE, FAILED, REJECTED, Record

DIGEST = "test"


def make_record(visit):
    """Deterministic in the visit alone: most are kept, some rejected, some failed."""
    rng = np.random.default_rng(visit.eid)
    kind = [DONE, DONE, DONE, DONE, REJECTED, FAILED][visit.eid % 6]
    stage = {DONE: "curves", REJECTED: "overlap", FAILED: "mri"}[kind]
    values = {"mm_per_px": 2.0 + rng.random(), "ferguson_deg": 20 * rng.random()}
    good, seen = kind == DONE, kind != FAILED
    values |= {"iou": rng.random()} if seen else {}
    return Record(
        visit.eid, visit.instance, visit.dxa.name, visit.mri.name, visit.fingerprint, DIGEST, kind, stage,
        error="TruncatedZipError" if kind == FAILED else "",
        message="Found a cut zip." if kind == FAILED else "",
        values=values, seconds={"dxa": float(visit.eid % 7)},
        image=rng.integers(0, 255, (224, 224), dtype=np.uint8) if seen else None,
        curves=rng.random((6, 209), np.float32) if good else None,
        outlines=np.zeros((2, 224, 28), np.uint8) if seen else None,
    )  # fmt: skip


def slow(visit, seconds):
    time.sleep(seconds)
    return make_record(visit)


@contextmanager
def quiet(what, total):
    yield lambda count: None


def make_folders(folder, people):
    """Empty archives of ``people``, every fifth with two visits."""
    for name, field in (("dxa", 20158), ("mri", 20201)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for eid in range(1000, 1000 + people):
            for instance in (2, 3) if eid % 5 == 0 else (2,):
                path = folder / name / f"{eid}_{field}_{instance}_0.zip"
                if not path.exists():
                    path.write_bytes(b"")


if __name__ == "__main__":
    import cohort_driver

    source, out, wait = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    plan = Plan(source / "dxa", source / "mri", out, workers=2)
    build(plan, digest=DIGEST, progress=quiet, log=print, work=partial(cohort_driver.slow, seconds=wait))
    print("whole", flush=True)
