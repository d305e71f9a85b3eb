"""A batch to be killed: ``batch_driver.py SCANS OUT BUNDLE WORKERS``."""

import sys
from pathlib import Path

from predict_cases import SPACING

from spinelift.bundle import PredictionCard, load_bundle
from spinelift.inference.batch import run_batch
from spinelift.inference.scans import name_scans
from spinelift.inference.task import Job
from spinelift.io import find_scans

if __name__ == "__main__":
    source, out, bundle, workers = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    ref = load_bundle(PredictionCard, bundle).ref
    job = Job(out, ref, bundle, SPACING, pictures=False, threads=1)
    run_batch(job, name_scans(find_scans([source]))[0], workers=workers)
    print("whole", flush=True)
