"""Scans a second of ``spinelift predict`` with one process and with two, resume, and the tables.

``python benchmarks/bench_batch.py [SCANS] [RESULTS]``: so many simulated scans (200), and so many results in
a folder whose tables are written (50,000). On a machine that does nothing else.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from spinelift import engine
from spinelift.inference.tables import write_tables
from spinelift.simulate.people import write_person

SEED = 4321


def predict(scans: Path, out: Path, workers: int, *options: str) -> float:
    """Seconds of ``spinelift predict``."""
    command = [sys.executable, "-m", "spinelift", "predict", str(scans), "-o", str(out), "--quiet"]
    start = time.perf_counter()
    done = subprocess.run([*command, "--workers", str(workers), *options])
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 3):  # 3: some people's spines are not found
        raise SystemExit(done.returncode)
    return seconds


def same(first: Path, second: Path) -> bool:
    """Whether the curves of two folders are the same bytes."""
    names = sorted(path.relative_to(first) for path in first.glob("*/curves.json"))
    return bool(names) and all((first / n).read_bytes() == (second / n).read_bytes() for n in names)


def tables(folder: Path, results: int, record: dict[str, object]) -> float:
    """Seconds to write the tables of a folder of so many results."""
    for k in range(results):
        name = f"{1000000 + k}_2_0"
        (folder / name).mkdir(parents=True)
        (folder / name / "run.json").write_text(json.dumps({**record, "scan_id": name}, indent=1))
    start = time.perf_counter()
    write_tables(folder, [], [])
    return time.perf_counter() - start


def main() -> None:
    scans, results = (int(n) for n in (*sys.argv[1:], *("200", "50000")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for person in range(scans):
            write_person(folder, SEED, person)
        one, two, again = folder / "one", folder / "two", folder / "dxa"
        for pictures in ("--no-pictures", "--pictures"):
            seconds = [predict(again, out, n, pictures, "--overwrite") for out, n in ((one, 1), (two, 2))]
            rates = [scans / s for s in seconds]
            print(f"{pictures}: {rates[0]:.2f} scans/s with one process, {rates[1]:.2f} with two")
            print(f"  gain {rates[1] / rates[0]:.2f} (target 1.7); same curves: {same(one, two)}")
        print(f"resume of a whole run: {1e3 * predict(again, two, 2) / scans:.1f} ms a scan, start included")
        record = json.loads(next(one.glob("*/run.json")).read_text())
        seconds_ = tables(folder / "many", results, record)
        print(f"tables of {results} results: {seconds_:.1f} s")
    start = time.perf_counter()
    next(engine.run(abs, [1], workers=1))
    print(f"start of a process: {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    count = sum(1 for _ in engine.run(abs, range(20000), workers=2))
    print(f"empty tasks through two processes: {count / (time.perf_counter() - start):.0f}/s")


if __name__ == "__main__":
    main()
