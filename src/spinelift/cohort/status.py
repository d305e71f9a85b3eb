"""State of a build that is running or was stopped, from its parts."""

import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from spinelift.cohort.manifest import PARTS, read_sealed_json
from spinelift.cohort.record import STATUSES, all_parts, read_part
from spinelift.errors import DamagedFileError

RUNNING = "build.json"
"""Number of visits of the build, and of those that it has to process; removed when it ends."""


@dataclass(frozen=True)
class BuildState:
    """Progress of a build: visits ``done`` of ``todo``, of ``visits`` in the folders.

    ``todo`` is None until it is known. ``seconds``: from the start to the last result. ``idle_s``: since
    then. ``statuses``: of all parts.
    """

    visits: int
    todo: int | None
    done: int
    seconds: float
    idle_s: float
    statuses: dict[str, int]

    def lines(self) -> list[str]:
        """For the command line: counts, rate and time left."""
        idle = timedelta(seconds=round(self.idle_s))
        counts = ", ".join(f"{count} {status}" for status, count in self.statuses.items())
        if self.todo is None:
            return [f"build: starting, {self.visits} visits in the folders; started {idle} ago"]
        share = f"{100 * self.done / self.todo:.0f} %, " if self.todo else ""
        line = f"build: {share}{self.done}/{self.todo} visits processed, of {self.visits} in the folders"
        if self.done and self.seconds > 0:
            rate = self.done / self.seconds
            left = timedelta(seconds=round((self.todo - self.done) / rate))
            line += f", {3600 * rate:.3g} an hour, {left} left"
        last = "last result" if self.done else "started"
        return [line, f"so far: {counts}; {last} {idle} ago"]


def read_state(store: Path) -> BuildState | None:
    """State of a build that has not ended; None if there is none.

    Parts are read, which takes a minute for 50,000 visits. Raises DamagedFileError if ``build.json`` was
    changed.
    """
    plan = store / RUNNING
    if not plan.is_file():
        return None
    content = read_sealed_json(plan, do="Run the build again.")
    began = last = plan.stat().st_mtime
    done, statuses = 0, Counter(dict.fromkeys(STATUSES, 0))
    for path in all_parts(store / PARTS):
        try:
            status, written = read_part(path, arrays=()).status, path.stat().st_mtime
        except (DamagedFileError, OSError):  # made again by the build
            continue
        statuses[status] += 1
        if written >= began:
            done, last = done + 1, max(last, written)
    idle = max(0.0, time.time() - last)
    return BuildState(content["visits"], content["todo"], done, last - began, idle, dict(statuses))
