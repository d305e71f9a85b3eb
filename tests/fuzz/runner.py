"""Runs cases in watched processes: one process takes many, and its death is that of the case it was at."""

import json
import os
import resource
import shutil
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np
from tests.fuzz.case import PERSON

from spinelift.errors import MissingExtraError, SpineliftError

HANG_S = 20.0
MEMORY_MB = 1500.0
ADDRESS_SPACE = 12 << 30
"""Of a process, so that a bomb cannot take the machine with it."""
RESULT, REFUSED = "result", "refused"
FAILURES = TRACEBACK, ABORT, HANG, MEMORY, WRONG, LEAK, HARNESS = (
    "traceback", "abort", "hang", "memory", "wrong", "leak", "harness",
)  # fmt: skip

Key = tuple[str, int, int]
"""Kind, seed, number."""


@dataclass(frozen=True)
class Outcome:
    """What became of one input; ``error`` is the class of an error, ``detail`` what is wrong."""

    kind: str
    seed: int
    number: int
    what: str
    outcome: str
    error: str = ""
    detail: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def failed(self) -> bool:
        return self.outcome in FAILURES


def run_one(key: Key, folder: Path, started: "Connection | None" = None) -> Outcome:
    """Make, read and judge one input, whose files are left in the folder if it fails."""
    from tests.fuzz.kinds import KINDS, order_of

    kind, seed, number = key
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    warnings.simplefilter("ignore")
    try:
        case = KINDS[kind](np.random.default_rng([seed, order_of(kind), number]), folder)
    except Exception:  # noqa: BLE001 - a fault of the harness is reported, too
        return Outcome(*key, "making it", HARNESS, detail=traceback.format_exc())
    if started is not None:
        started.send(case.what)
    _forget_peak()
    began = time.perf_counter()
    outcome, error, detail, result = RESULT, "", "", None
    try:
        result = case.read()
    except SpineliftError as caught:
        outcome, error, message = REFUSED, type(caught).__name__, str(caught)
        if PERSON in message or str(folder) in message:
            outcome, detail = LEAK, message
        elif case.must_read and not isinstance(caught, MissingExtraError):
            outcome, detail = WRONG, f"refused: {message}"
    except MemoryError:
        outcome, detail = MEMORY, traceback.format_exc()
    except BaseException as caught:  # noqa: BLE001 - finding these is the purpose
        outcome, error, detail = TRACEBACK, type(caught).__name__, traceback.format_exc()
    seconds, peak = time.perf_counter() - began, _peak_mb()
    if outcome == RESULT:
        try:
            detail = case.check(result)
        except Exception:  # noqa: BLE001
            return Outcome(*key, case.what, HARNESS, detail=traceback.format_exc())
        outcome = WRONG if detail else RESULT
    if outcome in (RESULT, REFUSED) and peak > MEMORY_MB:
        outcome = MEMORY
    if outcome in (RESULT, REFUSED) and seconds > HANG_S:
        outcome = HANG
    found = Outcome(*key, case.what, outcome, error, detail, seconds, peak)
    if not found.failed:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def run(keys: Sequence[Key], folder: Path, workers: int = 2) -> Iterator[Outcome]:
    """Outcomes of all cases, as they come; inputs that fail are kept in the folder."""
    todo: SimpleQueue[Key] = SimpleQueue()
    for key in keys:
        todo.put(key)
    done: SimpleQueue[Outcome] = SimpleQueue()
    threads = [Thread(target=_watch, args=(todo, done, folder), daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for _ in keys:
        yield done.get()
    for thread in threads:
        thread.join()


def _watch(todo: "SimpleQueue[Key]", done: "SimpleQueue[Outcome]", folder: Path) -> None:
    context = get_context("spawn")
    process, pipe = None, None
    try:
        while True:
            try:
                key = todo.get_nowait()
            except Empty:
                return
            if process is None or not process.is_alive():
                pipe, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, str(folder)))
                process.start()
                theirs.close()
            what = "making it"
            try:
                pipe.send(key)
                if not pipe.poll(120):
                    raise TimeoutError
                what = pipe.recv()
                if isinstance(what, str):
                    if not pipe.poll(2 * HANG_S):
                        raise TimeoutError
                    what = pipe.recv()
                done.put(what)
            except (EOFError, OSError) as error:
                hung = isinstance(error, TimeoutError)
                if hung:
                    process.kill()
                process.join()
                failure = HANG if hung else ABORT
                done.put(Outcome(*key, what, failure, detail=f"exit code {process.exitcode}"))
                process = None
    finally:
        if process is not None and process.is_alive():
            pipe.send(None)
            process.join(10)


def _serve(pipe: Connection, folder: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)  # native decoders write there
    from tests.fuzz import kinds  # noqa: F401 - before the first case, whose time is measured

    while (key := pipe.recv()) is not None:
        pipe.send(run_one(key, Path(folder) / "-".join(map(str, key)), pipe))


def _forget_peak() -> None:
    with suppress(OSError):  # the peak is then that of the process so far
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    """Peak memory since :func:`_forget_peak`, of this process, or of its children if that is more."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        own = next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return max(own, children)


def save(outcome: Outcome, folder: Path) -> None:
    """Write what is known of a failure beside its input."""
    place = folder / f"{outcome.kind}-{outcome.seed}-{outcome.number}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "outcome.json").write_text(json.dumps(asdict(outcome), indent=1))
