"""``spinelift serve`` under load, with hostile uploads, and killed; prints a Markdown table.

``python benchmarks/bench_serve.py [SECONDS] [UPLOADS] [JOBS]``: seconds of load by 8 clients (60), hostile
uploads (1000), jobs in the middle of which the server is killed (20). On a machine that does nothing else.
Needs the ``dev`` extra, and the ``tests`` folder beside it.
"""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "cases")]

import httpx2  # noqa: E402
from serve_cases import Process, left_over, send, wait_for, wait_ready  # noqa: E402
from tests.fuzz.kinds import KINDS, keys, order_of  # noqa: E402

DEMO = ROOT / "src" / "spinelift" / "demo" / "1900003_20158_2_0.zip"
CLIENTS, WORKERS = 8, 2
HOSTILE = [kind for kind in KINDS if kind.startswith(("dicom", "dxa-zip", "zip", "picture"))]
Row = tuple[str, str]


def command_rate(folder: Path, scans: int) -> float:
    """Scans a second of ``spinelift predict`` with the same outputs, its start included."""
    (folder / "scans").mkdir()
    for k in range(scans):
        (folder / "scans" / f"{1900003 + k}_20158_2_0.zip").write_bytes(DEMO.read_bytes())
    command = [sys.executable, "-m", "spinelift", "predict", str(folder / "scans"), "-o", str(folder / "out")]
    start = time.perf_counter()
    subprocess.run([*command, "--report", "--dicom", "--quiet", "--workers", str(WORKERS)], check=True)
    return scans / (time.perf_counter() - start)


def memory_mb(pid: int) -> tuple[float, float]:
    """Peak of a process, and of its children together, MB."""

    def peak(number: str) -> float:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)

    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for task in Path(f"/proc/{pid}/task").iterdir():
        children += [child for child in (task / "children").read_text().split() if child not in children]
    return peak(str(pid)), sum(map(peak, children))


def load(folder: Path, seconds: float) -> list[Row]:
    """Throughput, latency and memory with 8 clients, each of which waits for one scan after the other."""
    rate, data = command_rate(folder, max(8, round(seconds / 2))), DEMO.read_bytes()

    def client(number: int) -> tuple[list[float], Counter[int]]:
        times, codes = [], Counter[int]()
        with httpx2.Client(base_url=server.url, timeout=120) as http:
            while time.perf_counter() < end:
                start = time.perf_counter()
                reply = send(http, data, path="/v1/predictions?wait=true")
                codes[reply.status_code] += 1
                if reply.status_code == 503:
                    time.sleep(float(reply.headers["retry-after"]))
                else:
                    times.append(time.perf_counter() - start)
        return times, codes

    with (
        Process(folder, "--data", folder / "data", "--workers", WORKERS) as server,
        httpx2.Client(base_url=server.url) as http,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        wait_ready(http)
        start = time.perf_counter()
        end = start + seconds
        results = list(threads.map(client, range(CLIENTS)))
        served = sum(len(times) for times, _ in results) / (time.perf_counter() - start)
        peaks = memory_mb(server.pid)
    times = sorted(t for times, _ in results for t in times)
    codes = sum((codes for _, codes in results), Counter[int]())
    p95 = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return [
        (f"`spinelift predict --report --dicom`, {WORKERS} workers", f"{rate:.2f} scans/s"),
        (
            f"{CLIENTS} clients for {seconds:.0f} s",
            f"{served:.2f} scans/s, {served / rate:.2f} of it",
        ),
        ("Responses by status", ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))),
        ("Latency, median and 95th percentile", f"{statistics.median(times):.1f} s, {p95:.1f} s"),
        ("Peak memory: server, workers together", f"{peaks[0]:.0f} MB, {peaks[1]:.0f} MB"),
    ]


def hostile(folder: Path, count: int) -> list[Row]:
    """Uploads that were damaged, or made to do harm."""

    def upload(key: tuple[str, int, int]) -> list[dict[str, Any]]:
        kind, seed, number = key
        case = folder / "cases" / f"{kind}-{number}"
        case.mkdir(parents=True)
        KINDS[kind](np.random.default_rng([seed, order_of(kind), number]), case)
        parts = [("file", (p.name, p.read_bytes())) for p in case.rglob("*") if p.is_file()]
        with httpx2.Client(base_url=server.url, timeout=300, headers=session) as http:
            reply = send(http, parts, path="/v1/batches", spacing="2.4,2.4")
            while reply.status_code == 503:
                time.sleep(float(reply.headers["retry-after"]))
                reply = send(http, parts, path="/v1/batches", spacing="2.4,2.4")
            if reply.status_code >= 400:
                refused[reply.status_code] += 1
                return []
            documents: list[dict[str, Any]] = reply.json()["predictions"]
        return documents

    refused: Counter[int] = Counter()
    session = {"Spinelift-Session": "b" * 43}
    with (
        Process(folder, "--data", folder / "data", "--workers", WORKERS, "--max-rate", 1_000_000) as server,
        httpx2.Client(base_url=server.url, timeout=60, headers=session) as http,
        ThreadPoolExecutor(2) as threads,
    ):
        wait_ready(http)
        sent = [job for jobs in threads.map(upload, keys(1, count, HOSTILE)) for job in jobs]
        while True:
            jobs = http.get("/v1/predictions").json()
            if not {"queued", "running"} & {job["status"] for job in jobs}:
                break
            time.sleep(1)
        alive = http.get("/healthz").status_code == http.get("/readyz").status_code == 200
        for job in jobs:
            http.delete(job["links"]["self"])
        left = len(left_over(folder / "data"))
        server.stop()
    states = Counter(job["status"] for job in jobs)
    died = sum(job["error"] is not None and job["error"]["error"] == "WorkerDiedError" for job in jobs)
    tracebacks = (folder / "stderr").read_text().count("Traceback")
    return [
        (
            f"{count} hostile uploads",
            f"{len(sent)} scans: {states['done']} results, {states['failed']} errors",
        ),
        ("Refused at once, by status", ", ".join(f"{code}: {n}" for code, n in refused.items()) or "none"),
        ("Server alive, workers died, tracebacks, files left", f"{alive}, {died}, {tracebacks}, {left}"),
    ]


def killed(folder: Path, count: int) -> list[Row]:
    """A server that is killed in the middle of its jobs, and started again."""
    session = {"Spinelift-Session": "c" * 43}
    options = ("--data", folder / "data", "--workers", WORKERS)
    with (
        Process(folder, *options) as server,
        httpx2.Client(base_url=server.url, headers=session, timeout=60) as http,
    ):
        parts = [("file", (f"{k}.zip", DEMO.read_bytes())) for k in range(count)]
        jobs = send(http, parts, path="/v1/batches").json()["predictions"]
        wait_for(http, jobs[count // 4], seconds=300)
        server.stop(signal.SIGKILL)
    with (
        Process(folder, *options) as server,
        httpx2.Client(base_url=server.url, headers=session, timeout=60) as http,
    ):
        before = Counter(job["status"] for job in http.get("/v1/predictions").json())
        done = sum(wait_for(http, job, seconds=600)["status"] == "done" for job in jobs)
        server.stop()
    return [(f"`kill -9` in the middle of {count} jobs", f"{before['done']} done before, {done} in the end")]


def main() -> None:
    seconds, uploads, jobs = (float(n) for n in (*sys.argv[1:], *("60", "1000", "20")[len(sys.argv) - 1 :]))
    print("| what | measured |\n|---|---|")
    for measure, size in ((load, seconds), (hostile, int(uploads)), (killed, int(jobs))):
        with tempfile.TemporaryDirectory() as folder:
            for what, value in measure(Path(folder), size):
                print(f"| {what} | {value} |", flush=True)


if __name__ == "__main__":
    main()
