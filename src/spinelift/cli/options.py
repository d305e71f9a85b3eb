"""Options that commands share."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer

Data = Annotated[list[Path], typer.Option(help="Training store; may be given several times.")]
Val = Annotated[Path, typer.Option(help="Validation store: people who are not in training.")]
ConfigPath = Annotated[str, typer.Option(help="YAML file, or the name of one in the package.")]
Out = Annotated[Path, typer.Option(help="Folder of the run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the run's checkpoint.")]
Minutes = Annotated[float | None, typer.Option(help="Time budget instead of the configuration's.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads instead of the configuration's.")]
MinIou = Annotated[
    float, typer.Option(help="Least overlap (IoU) of both spine masks of an accepted pair.", min=0.0, max=1.0)
]
InitFrom = Annotated[Path | None, typer.Option(help="Safetensors to start from (a bundle's or a run's).")]

LoopT = TypeVar("LoopT")


def override(loop: LoopT, max_minutes: float | None, threads: int | None) -> LoopT:
    """The loop with another budget or number of threads, where given."""
    update: dict[str, object] = {}
    if max_minutes is not None:
        update |= {"max_seconds": max_minutes * 60, "epochs": None, "steps": None}
    if threads is not None:
        update["threads"] = threads
    copied: LoopT = loop.model_copy(update=update)  # type: ignore[attr-defined]
    return copied
