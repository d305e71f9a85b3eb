"""Progress of long jobs on stderr, and the times of their stages."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

Advance = Callable[[int], None]
"""Callback named ``advance``: it is called with the number of items done since the last call."""


def silent(count: int) -> None:
    """An :data:`Advance` that shows nothing."""


class Progress:
    """Progress of one job: a bar on a terminal, elsewhere a line every ``every_s`` seconds and at the end.

    A line reads ``people: 24 %, 120/500, 3.1/s, 0:02:00 left``. ``total`` is the number of items, 1.0 for a
    job that reports its share with :meth:`report`, or None if unknown; an earlier run did ``done`` of it.
    """

    every_s = 30.0

    def __init__(
        self, title: str, total: float | None, *, done: float = 0.0, console: Console | None = None
    ) -> None:
        self._title, self._total, self._done, self._before = title, total, done, done
        self._note, self._console = "", console or Console(stderr=True)
        self._began = self._printed = time.monotonic()
        text = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}")
        self._bar = Bar(*text, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
        self._task = self._bar.add_task(title, total=total, note="")
        self._bar.update(self._task, completed=done)

    def __enter__(self) -> Self:
        if self._console.is_interactive:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_interactive:
            self._bar.stop()
        elif self._done > self._before:
            self.message(self._text())

    def advance(self, count: int = 1) -> None:
        """Show that ``count`` more items are done."""
        self._done += count
        self._note = f"{self._done:.0f}" if self._total is None else f"{self._done:.0f}/{self._total:.0f}"
        self._show()

    def report(self, share: float, note: str) -> None:
        """Show that ``share`` 0..1 of the job is done, with figures of its state in words."""
        self._done, self._note = share, note
        self._show()

    def message(self, text: str) -> None:
        """Write a line of text."""
        line = f"{self._title}: {text}"
        self._console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def _show(self) -> None:
        if self._console.is_interactive:
            self._bar.update(self._task, completed=self._done, note=self._note)
        elif time.monotonic() - self._printed >= self.every_s:
            self._printed = time.monotonic()
            self.message(self._text())

    def _text(self) -> str:
        """Share, count or note, rate, and time left at the rate so far."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = (self._done - self._before) / seconds
        parts = [self._note]
        if self._total:
            parts.insert(0, f"{100 * self._done / self._total:.0f} %")
        if self._total != 1.0:
            parts.append(f"{rate:.3g}/s")
        if self._total and rate > 0:
            left = (self._total - self._done) / rate
            time_left = timedelta(seconds=round(left if left > 0 else seconds))
            parts.append(f"{time_left} left" if left > 0 else f"took {time_left}")
        return ", ".join(parts)


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Advance]:
    """Show the progress of ``total`` items; yields the function ``advance``."""
    with Progress(title, total) as shown:
        yield shown.advance


class Clock:
    """Times of consecutive stages: ``stage`` is the current one, ``seconds`` holds those that have ended."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def start(self, stage: str) -> None:
        """End the current stage and begin the next."""
        self.stop()
        self.stage = stage

    def stop(self) -> dict[str, float]:
        """End the current stage; returns the seconds of all."""
        now = time.perf_counter()
        self.seconds[self.stage] = round(now - self._since, 5)
        self._since = now
        return self.seconds
