"""Options, checks and messages that commands share."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spinelift.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from spinelift.geometry import Spacing
    from spinelift.learn.loop.loop import Outcome

Bundle = Annotated[
    Path | None, typer.Option(help="Model bundle, a folder or a zip.", show_default="the shipped one")
]
Data = Annotated[list[Path], typer.Option(help="Training store; can be given several times.")]
Val = Annotated[Path, typer.Option(help="Validation store, of people who are not in training.")]
Cohort = Annotated[list[Path], typer.Option(help="Cohort folder to train on; can be given several times.")]
ValCohort = Annotated[Path, typer.Option(help="Cohort folder to validate on, of other people.")]
ConfigPath = Annotated[str, typer.Option(help="YAML file, or the name of a packaged configuration.")]
Out = Annotated[Path, typer.Option(help="Folder of the run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint.")]
Minutes = Annotated[float | None, typer.Option(help="Time budget, instead of the configuration's.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads, instead of the configuration's.")]
MinIou = Annotated[
    float, typer.Option(help="Least overlap (IoU) of both spine masks of an accepted pair.", min=0.0, max=1.0)
]
InitFrom = Annotated[Path | None, typer.Option(help="Weights to start from, safetensors.")]

PACKAGES = {
    "train": ("torch", "zarr", "safetensors"),
    "cohort": ("distributed", "polars", "zarr", "nibabel"),
}
"""Packages of an extra whose presence is checked before a command starts."""


def require_extra(name: str) -> None:
    """Check that the packages of an extra are installed.

    Raises
    ------
    MissingExtraError
        One of them is not.
    """
    missing = [package for package in PACKAGES[name] if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            found=f"no package {', '.join(missing)}",
            expected=f"the packages of the {name} extra",
            do=f"Run: pip install 'spinelift[{name}]'",
        )


def parse_spacing(text: str) -> "Spacing":
    """Pixel size from ``ROW,COL`` in mm.

    Raises
    ------
    ConfigError
        The text is not two positive numbers.
    """
    from spinelift.geometry import Spacing

    try:
        row, col = (float(part) for part in text.split(","))
        return Spacing(row, col)
    except ValueError as error:
        raise ConfigError(
            found=f"--spacing {text}",
            expected="two positive numbers in mm, ROW,COL, such as 2.427,2.419",
            do="Give the height of a pixel, a comma, and its width.",
        ) from error


def print_outcome(outcome: "Outcome", out: Path) -> None:
    """Print the length and the last validation of a training run."""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in outcome.validation.items())
    typer.echo(f"{outcome.steps} steps in {outcome.seconds / 60:.1f} min: {metrics} → {out}")
