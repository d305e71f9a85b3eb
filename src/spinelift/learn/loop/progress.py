"""Progress that a person watches in a terminal, or plain lines in a log."""

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class TrainingProgress:
    """A bar on a terminal; elsewhere one line a report."""

    def __init__(self, title: str) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._title = title

    def __enter__(self) -> Self:
        console = Console(stderr=True)
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=console)
            self._task = self._bar.add_task(self._title, total=1.0, note="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def report(
        self, *, progress: float, step: int, seconds: float, per_second: float, values: Mapping[str, float]
    ) -> None:
        """Say where the run is; ``per_second`` counts images."""
        left = seconds * (1 - progress) / max(progress, 1e-6)
        numbers = " ".join(f"{k} {v:.3f}" for k, v in values.items())
        note = f"step {step} · {per_second:.0f} images/s · {left / 60:.1f} min left · {numbers}"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=progress, note=note)
        else:
            print(f"{self._title} {100 * progress:5.1f} % · {note}", file=sys.stderr, flush=True)

    def validated(self, step: int, values: Mapping[str, float]) -> None:
        """Say what the validation gave."""
        text = f"{self._title} validation at step {step}: " + " ".join(
            f"{k} {v:.3f}" for k, v in values.items()
        )
        if self._bar is not None:
            self._bar.console.print(text)
        else:
            print(text, file=sys.stderr, flush=True)
