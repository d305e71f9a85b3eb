"""Many visits in many processes with Dask: few tasks in flight, every result on disk immediately.

Only the driver writes. If a worker dies, its task runs again on another one; a visit whose workers die
repeatedly becomes a row with its cause.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import dask
import distributed

from spinelift.cohort.record import FAILED, Record, visit_fields, write_part
from spinelift.io.visits import Visit
from spinelift.progress import Advance, silent

Work = Callable[[Visit], Record]
dask_client: Any = distributed  # not typed
IN_FLIGHT = 3
"""Tasks submitted at a time for each worker thread."""
DEATHS = 2
"""Number of workers that may die on a visit before it fails."""


@contextmanager
def connect(workers: int, scheduler: str | None, memory: str = "4GiB") -> Iterator[Any]:
    """A client of a running cluster at ``scheduler``, or of new local processes."""
    options = {
        "distributed.scheduler.allowed-failures": DEATHS,
        "distributed.logging.distributed": "critical",
    }
    local = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "memory_limit": memory}
    quiet = {"dashboard_address": None, "silence_logs": "CRITICAL"}
    with (
        dask.config.set(options),
        nullcontext(scheduler) if scheduler else dask_client.LocalCluster(**local, **quiet) as cluster,
        dask_client.Client(cluster) as client,
    ):
        yield client


def run(
    visits: Iterable[Visit],
    work: Work,
    client: Any,
    parts: Path,
    *,
    on_failure: Callable[[Visit, str], Record],
    advance: Advance = silent,
) -> None:
    """Process every visit; each result is a part on disk before the next one is accepted.

    ``on_failure`` makes the record of a visit whose task could not be run, from the cause. ``advance`` is
    called with the number of visits done.
    """
    queue = iter(visits)
    running: dict[str, Visit] = {}
    done = dask_client.as_completed()
    threads = max(sum(client.nthreads().values()), 1)

    def submit() -> None:
        for visit in queue:
            future = client.submit(work, visit, key=f"visit-{visit.key}", pure=False)
            running[future.key] = visit
            done.add(future)
            if len(running) >= IN_FLIGHT * threads:
                return

    submit()
    for future in done:
        visit = running.pop(future.key)
        good = future.status == "finished"
        record: Record = future.result() if good else on_failure(visit, _cause(future))
        write_part(parts, record)
        future.release()
        advance(1)
        if len(running) < IN_FLIGHT * threads:
            submit()


def _cause(future: Any) -> str:
    problem = future.exception() if future.status == "error" else None
    return f"{type(problem).__name__}: {problem}" if problem else f"task {future.status}"


def lost(visit: Visit, cause: str, digest: str) -> Record:
    """The record of a visit whose worker died or whose task could not be run."""
    message = (
        f"Found that the process of this visit died ({cause}). Expected it to finish. "
        "Run the build again with --retry-failed; if it dies again, raise --memory."
    )
    known = visit_fields(visit, digest) | {"fingerprint": ""}
    with suppress(OSError):  # an archive may be gone by now
        known["fingerprint"] = visit.fingerprint
    return Record(**known, status=FAILED, stage="pair", error="WorkerDied", message=message)
