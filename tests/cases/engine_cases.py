"""Functions that worker processes import."""

import os
import signal
import time

ABORT, KILL, RAISE, END_OF_FILE, UNPICKLABLE = "abort", "kill", "raise", "end of file", "unpicklable"


def work(task):
    """The task twice, but for those that do something else; what is printed is no result."""
    print("noise")
    match task:
        case "abort":
            os.abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("a fault")
        case "end of file":
            raise EOFError
        case "unpicklable":
            return open(os.devnull)  # noqa: PTH123
    return task * 2


def process_of(task):
    time.sleep(0.01)
    return os.getpid()


def hold(megabytes):
    block = bytearray(megabytes << 20)
    time.sleep(2 if megabytes else 0)
    return len(block)


def name_of_file(file):
    return file.name
