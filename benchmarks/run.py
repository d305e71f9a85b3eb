"""Speed and memory beside their targets. Prints a table; a missed target is shown, and does not fail.

Every figure is taken in processes of their own, on as many cores as are named. A machine that does other work
at the same time gives larger figures: the load average is printed.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CORES = 2
REPEATS = 5
PEOPLE = 6


@dataclass(frozen=True)
class Figure:
    """One measured figure and its target, in the same unit."""

    name: str
    unit: str
    target: float
    measured: float

    def row(self) -> str:
        verdict = "ok" if self.measured <= self.target else "MISSED"
        return f"{self.name:<52} {self.target:>8.4g} {self.measured:>9.4g} {self.unit:<3} {verdict}"


def child(code: str, *arguments: str, cores: int = CORES) -> str:
    """Run Python code in a process bound to so many cores; its standard output."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(cores), "NUMBA_NUM_THREADS": str(cores)}
    bound = (
        f"import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cores}])\n"
        if hasattr(os, "sched_setaffinity")
        else ""
    )
    command = [sys.executable, "-c", bound + code, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return done.stdout.strip()


SIMULATE = f"""
import sys, time
from pathlib import Path
from spinelift.simulate.people import write_person
out = Path(sys.argv[1])
write_person(out, 77, 0)
start = time.process_time()
for person in range(1, {PEOPLE} + 1):
    write_person(out, 77, person)
print((time.process_time() - start) / {PEOPLE})
"""

WARM = f"""
import sys, time
from spinelift.inference.model import load_model
model = load_model(threads={CORES})
for _ in range(2):
    model.predict(sys.argv[1])
times = []
for _ in range({REPEATS * 4}):
    start = time.perf_counter()
    model.predict(sys.argv[1]).curves_json()
    times.append(time.perf_counter() - start)
times.sort()
print(times[len(times) // 2])
"""


def cold_predict(scan: Path, out: Path) -> tuple[float, float]:
    """Median wall-clock seconds and largest peak memory in MB of ``spinelift predict`` with all outputs."""
    code = "import sys; sys.argv[0] = 'spinelift'; from spinelift.cli import main; main()"
    command = [sys.executable, "-c", code, "predict", str(scan), "-o", str(out), "--threads", str(CORES)]
    seconds, peaks = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds.append(time.perf_counter() - start)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"spinelift predict ended with {process.returncode}")
        peaks.append(peak_mb(usage))
    return statistics.median(seconds), max(peaks)


def peak_mb(usage: resource.struct_rusage) -> float:
    """Peak resident memory: kilobytes on Linux, bytes on macOS."""
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measure(folder: Path) -> list[Figure]:
    """All figures; the simulated scan is the input of the others."""
    simulated = float(child(SIMULATE, str(folder), cores=1))
    scan = sorted((folder / "dxa").glob("*.zip"))[0]
    warm = float(child(WARM, str(scan)))
    cold, peak = cold_predict(scan, folder / "results")
    return [
        Figure("simulation of one DXA zip, CPU time of one core", "s", 0.4, simulated),
        Figure("warm prediction, everything but the pictures", "ms", 120, 1e3 * warm),
        Figure("cold `spinelift predict` with all outputs", "s", 4.0, cold),
        Figure("its peak memory", "MB", 500, peak),
    ]


def main() -> None:
    """Measure and print."""
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{os.cpu_count()} cores, {CORES} used{load}\n")
    print(f"{'figure':<52} {'target':>8} {'measured':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for figure in measure(Path(folder)):
            print(figure.row())


if __name__ == "__main__":
    main()
