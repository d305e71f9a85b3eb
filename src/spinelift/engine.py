"""Many tasks in many processes: a process that dies costs its own task, and the others go on.

Local processes get tasks through their standard input and return results through their standard output. These
pipes have no name and no port, so no other user can reach them. Kept by hand, because a dead process breaks
the whole pool of ``concurrent.futures``, Dask's ``LocalCluster`` listens on TCP, and ``multiprocessing``
imports the caller's script again. Dask is used for a cluster that is already running.
"""

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from spinelift.errors import ConfigError, WorkerDiedError

Task = TypeVar("Task")
Result = TypeVar("Result")
Submit = Callable[[Any], "Future[Any]"]
"""Starts a task of a :func:`pool`."""

DEATHS = 2
"""Number of processes that may die on a task before it fails."""
DASK_IN_FLIGHT = 1000
"""Tasks submitted to a cluster at a time; the scheduler hands them to its workers, also to later ones."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_LENGTH = 8
_TOO_MUCH_MEMORY = 99
"""Exit code of a process that held more memory than it may."""
_TOO_LONG = "it took more time than it may"
_WATCH_S = 0.2


def run(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int = 0,
    scheduler: str | None = None,
    memory: int | None = None,
    ordered: bool = False,
) -> Generator[tuple[Task, Result | Exception], None, None]:
    """Yield every task with ``work(task)``, or with the exception that it raised.

    ``workers`` processes are started; 0: in this process. ``scheduler``: address of a Dask scheduler, in
    their place. ``memory``: bytes that a local process may hold; it is ended when it holds more. ``work``
    must be a function of an importable module. Tasks are taken from the iterable little by little. Results
    come as they are ready, or in the order of the tasks if ``ordered``. Closing the iterator ends the
    processes. A task whose processes die ``DEATHS`` times has a :class:`WorkerDiedError`. One that cannot be
    pickled is done in this process.

    Raises ConfigError if there is no scheduler at the address, WorkerDiedError if the cluster ends.
    """
    if not scheduler and not workers:
        for task in tasks:
            try:
                yield task, work(task)
            except Exception as error:  # noqa: BLE001 (the caller's to judge, as from another process)
                yield task, error
        return
    room = DASK_IN_FLIGHT if scheduler else 2 * workers
    source, running = iter(tasks), dict[Future[Any], Task]()
    with pool(work, workers=workers, scheduler=scheduler, memory=memory) as submit:
        while True:
            for task in islice(source, room - len(running)):
                running[submit(task)] = task
            if not running:
                return
            first = next(iter(running))
            done = wait([first] if ordered else running, return_when=FIRST_COMPLETED).done
            for future in done:
                yield running.pop(future), outcome(future)


@contextmanager
def pool(
    work: Callable[[Task], Result],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    memory: int | None = None,
    seconds: float | None = None,
) -> Iterator[Submit]:
    """Processes that stay for tasks to come: yields ``submit(task)``, which returns a ``Future``.

    ``workers``, ``scheduler`` and ``memory`` as of :func:`run`; 0 workers: a thread of this process.
    ``seconds``: a local process is ended when a task takes longer (not on Windows). :func:`outcome` gives the
    result of a future. Leaving the block ends the processes, and cancels the tasks that wait.
    """
    if scheduler:
        processes = _cluster(work, scheduler)
    else:
        processes = _local(work, workers, memory, seconds) if workers else _here(work)
    with processes as submit:
        yield submit


def outcome(future: "Future[Any]") -> Any:
    """Result of a finished task, or the exception that it raised; raises as :func:`run` does."""
    try:
        return future.result()
    except CancelledError:
        raise WorkerDiedError(
            found="that the Dask cluster ended before the run did",
            expected="a cluster that lasts until the end",
            do="Start one, and run the command again: it continues.",
        ) from None
    except Exception as error:  # noqa: BLE001
        return _died("several Dask workers died on it") if type(error).__name__ == "KilledWorker" else error


def _died(how: str) -> WorkerDiedError:
    return WorkerDiedError(
        found=f"that the process of this task died ({how})",
        expected="it to finish",
        do="Run the command again. If it dies again, it may need more memory.",
    )


@contextmanager
def _cluster(work: Callable[[Any], Any], address: str) -> Iterator[Submit]:
    import distributed

    library: Any = distributed  # not typed
    try:
        client = library.Client(address)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(
            found=f"no Dask scheduler at {address} ({type(error).__name__})",
            expected="the address of a running scheduler, such as tcp://host:8786",
            do="Start one with `dask scheduler`, or use --workers.",
        ) from error
    with client:
        executor = client.get_executor(pure=False)
        try:
            yield lambda task: executor.submit(work, task)
        finally:
            executor.shutdown(wait=False)  # cancels what is still waiting


@contextmanager
def _here(work: Callable[[Any], Any]) -> Iterator[Submit]:
    threads = ThreadPoolExecutor(1)
    try:
        yield lambda task: threads.submit(work, task)
    finally:
        threads.shutdown(cancel_futures=True)


@contextmanager
def _local(
    work: Callable[[Any], Any], workers: int, memory: int | None, seconds: float | None
) -> Iterator[Submit]:
    processes = [_Process(pickle.dumps((os.getpid(), memory, seconds, work))) for _ in range(workers)]
    idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
    for process in processes:
        idle.put(process)

    def call(task: Any) -> Any:
        try:
            message = pickle.dumps(task)
        except Exception:  # noqa: BLE001 (an open file, for example)
            return work(task)
        process = idle.get()
        try:
            for _ in range(DEATHS):
                if reply := process.call(message):
                    good, result = pickle.loads(reply)
                    if good:
                        return result
                    raise result
                how = process.end()
                if how == _TOO_LONG:
                    break
            raise _died(how)
        finally:
            idle.put(process)

    threads = ThreadPoolExecutor(workers)
    try:
        yield lambda task: threads.submit(call, task)
    finally:
        for process in processes:
            process.close()
        threads.shutdown(cancel_futures=True)


class _Process:
    """A child that calls one function, started when it is first needed and again after it died."""

    def __init__(self, work: bytes) -> None:
        self._work = work
        self._child: subprocess.Popen[bytes] | None = None
        self._closed, self._lock = False, threading.Lock()

    def call(self, message: bytes) -> bytes:
        """The child's reply to a task, as :func:`_reply` makes it; nothing if the child died."""
        with self._lock:
            if self._closed:
                raise CancelledError
            child = self._child = self._child or self._start()
        with suppress(EOFError, BrokenPipeError):
            _send(child.stdin, message)
            return _receive(child.stdout)
        return b""

    def _start(self) -> "subprocess.Popen[bytes]":
        path = os.pathsep.join(part or os.curdir for part in sys.path)
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", "from spinelift.engine import serve; serve()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**_ONE_THREAD, **os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        with suppress(BrokenPipeError):  # it died at once: the first call finds out
            _send(child.stdin, self._work)
        return child

    def end(self) -> str:
        """Kill the child, unless it has ended; how it ended, in words."""
        with self._lock:
            child, self._child = self._child, None
        if child is None:
            return "it was ended"
        with suppress(BrokenPipeError), child:  # closes the pipes and waits
            child.kill()
        if child.returncode == _TOO_MUCH_MEMORY:
            return "it held more memory than it may"
        with suppress(ValueError):
            name = signal.Signals(-child.returncode).name
            return _TOO_LONG if name == "SIGALRM" else name
        return f"exit code {child.returncode}"

    def close(self) -> None:
        """End the child for good, whatever it does."""
        self._closed = True
        self.end()


def serve() -> None:
    """Main function of a child: call the function on every task until the standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the driver ends its children
        signal.signal(number, lambda *_: None)
    tasks, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what libraries print is no result
    with suppress(EOFError, BrokenPipeError):
        driver, memory, seconds, work = pickle.loads(_receive(tasks))
        threading.Thread(target=_watch, args=(driver, memory), daemon=True).start()
        while True:
            task = pickle.loads(_receive(tasks))
            _set_alarm(seconds)
            reply = _reply(work, task)
            _set_alarm(None)
            _send(results, reply)


def _set_alarm(seconds: float | None) -> None:
    """Have the system end this process by SIGALRM, whatever it is at, after some seconds; None: no more."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds or 0)


def _reply(work: Callable[[Any], Any], task: Any) -> bytes:
    try:
        return pickle.dumps((True, work(task)))
    except Exception as error:  # noqa: BLE001 (the driver's to judge)
        try:
            pickle.loads(data := pickle.dumps((False, error)))
        except Exception:  # noqa: BLE001 (some exceptions do not survive pickling)
            return pickle.dumps((False, RuntimeError(type(error).__name__)))
        return data


def _watch(driver: int, memory: int | None) -> None:
    """End this process when its driver was killed, or when it holds more than ``memory`` bytes."""
    while os.getppid() == driver:
        if memory and _held() > memory:
            os._exit(_TOO_MUCH_MEMORY)
        time.sleep(_WATCH_S)
    os._exit(0)


def _held() -> int:
    """Bytes that this process holds now, on Linux; 0 elsewhere.

    The peak of ``getrusage`` will not do: a new process begins with the peak of the one that started it.
    """
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return 0


def _send(pipe: Any, data: bytes) -> None:
    pipe.write(len(data).to_bytes(_LENGTH, "little") + data)
    pipe.flush()


def _receive(pipe: Any) -> bytes:
    """One message; EOFError if the other side ended."""
    header: bytes = pipe.read(_LENGTH)
    size = int.from_bytes(header, "little")
    data: bytes = pipe.read(size) if len(header) == _LENGTH else b""
    if len(header) < _LENGTH or len(data) < size:
        raise EOFError
    return data
