"""Options, checks and messages that commands share."""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spinelift.errors import ConfigError, MissingExtraError, NoScansError, SpineliftError

if TYPE_CHECKING:
    from spinelift.geometry import Spacing
    from spinelift.learn.loop.loop import Outcome

Bundle = Annotated[Path | None, typer.Option(help="Model bundle: folder or zip.", show_default="shipped")]
Scheduler = Annotated[str | None, typer.Option(help="Dask scheduler, such as tcp://host:8786.")]
MriNetworks = Annotated[
    Path | None, typer.Option(help="Run or folder of an MRI segmenter.", show_default="shipped")
]
Encoders = Annotated[
    str | None, typer.Option(help="Run or folder of encoders; none: edge directions.", show_default="shipped")
]
MinIou = Annotated[float, typer.Option(min=0, max=1, help="Least overlap (IoU) of the masks of a kept pair.")]
IgnoreIdentity = Annotated[
    bool,
    typer.Option("--ignore-identity", help="Do not compare PatientID, birth date and sex of DXA and MRI."),
]
DixonZip = Annotated[Path, typer.Argument(help="Zip of the Dixon MRI: <eid>_20201_<instance>_0.zip.")]
Data = Annotated[list[Path] | None, typer.Option(help="Training store; can be given several times.")]
Scans = Annotated[list[Path], typer.Option("--data", help="Training store; can be given several times.")]
Val = Annotated[Path, typer.Option(help="Validation store, of people who are not in training.")]
Cohort = Annotated[list[Path], typer.Option(help="Cohort folder to train on; can be given several times.")]
ValCohort = Annotated[Path, typer.Option(help="Cohort folder to validate on, of other people.")]
ConfigPath = Annotated[str, typer.Option(help="YAML file, or the name of a packaged configuration.")]
Out = Annotated[Path, typer.Option(help="Folder of the run.")]
Baselines = Annotated[list[Path] | None, typer.Option(help="Pair store to fit baselines to.")]

PACKAGES = {
    "train": ("torch", "lightning", "zarr", "safetensors"),
    "mri": ("nibabel",),
    "dicom": ("highdicom", "weasyprint"),
    "report": ("weasyprint",),
    "serve": (
        "fastapi",
        "uvicorn",
        "python_multipart",
        "prometheus_client",
        "pynetdicom",
        "highdicom",
        "weasyprint",
    ),
    "cohort": ("distributed", "polars", "zarr", "nibabel"),
}
"""Packages of an extra whose presence is checked before a command starts."""


def command_group(help_text: str) -> typer.Typer:
    """The app of a command that has commands of its own."""
    return typer.Typer(help=help_text, no_args_is_help=True, add_completion=False)


@dataclass(frozen=True)
class RunOptions:
    """Options of every training. All but ``resume`` take the place of a value of the configuration."""

    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint.")] = False
    max_minutes: Annotated[float | None, typer.Option(min=0, help="Time budget.")] = None
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None
    init_from: Annotated[Path | None, typer.Option(help="Weights to start from, safetensors.")] = None
    batch: Annotated[int | None, typer.Option(min=1, help="Examples a step, over all devices.")] = None
    rate: Annotated[float | None, typer.Option(help="Learning rate.")] = None
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu or gpu.")] = None
    precision: Annotated[str | None, typer.Option(help="fp32, or bf16 for the networks.")] = None
    compile: Annotated[bool, typer.Option("--compile", help="Compile the network by torch.compile.")] = False

    def changes(self) -> dict[str, object]:
        """What they change in a configuration, by its keys; None for no change."""
        return {
            "loop.max_seconds": self.max_minutes and self.max_minutes * 60,
            "loop.threads": self.threads,
            "loop.batch": self.batch,
            "optim.rate": self.rate,
            "device.accelerator": self.accelerator,
            "device.precision": self.precision,
            "device.compile": self.compile or None,
            "init_from": self.init_from and str(self.init_from),
        }


@dataclass(frozen=True)
class ProcessOptions:
    """Options of trainings that can use several devices."""

    devices: Annotated[int | None, typer.Option(min=1, help="GPUs, or CPU processes, of each node.")] = None
    num_nodes: Annotated[int | None, typer.Option(min=1, help="Machines.")] = None

    def changes(self) -> dict[str, object]:
        """As of :class:`RunOptions`."""
        return {"device.devices": self.devices, "device.nodes": self.num_nodes}


@dataclass(frozen=True)
class NetworkOptions:
    """Options of the regressor: pre-trained weights, and people who are simulated while it trains."""

    weights: Annotated[Path | None, typer.Option(help="Pre-trained weights of the backbone (timm).")] = None
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start from random weights.")] = False
    simulate: Annotated[bool, typer.Option("--simulate", help="Simulate people while training.")] = False
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that simulate.")] = None
    buffer: Annotated[int | None, typer.Option(min=1, help="Simulated people held at a time.")] = None
    people_seed: Annotated[int | None, typer.Option(min=0, help="Seed of the simulated people.")] = None
    images_per_person: Annotated[
        float | None, typer.Option(help="Images trained on for each new simulated person.")
    ] = None
    foreign_bodies: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of simulated people in the body of another spine."),
    ] = None

    def changes(self) -> dict[str, object]:
        """As of :class:`RunOptions`."""
        people = {
            "workers": self.workers,
            "buffer": self.buffer,
            "seed": self.people_seed,
            "images_per_person": self.images_per_person,
            "foreign_bodies": self.foreign_bodies,
        }
        given = {name: value for name, value in people.items() if value is not None}
        if given and not self.simulate:
            names = ", ".join(given)
            raise ConfigError(
                found=f"{names} without --simulate", expected="both or neither", do="Add --simulate."
            )
        return {
            "network.weights": self.weights and str(self.weights),
            "network.pretrained": False if self.from_scratch else None,
            "simulated": given if self.simulate else None,
        }


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of a command that is a group of options by the options themselves."""
    signature = inspect.signature(command, eval_str=True)
    kinds: dict[str, Any] = {name: p.annotation for name, p in signature.parameters.items()}
    groups: dict[str, Any] = {name: kind for name, kind in kinds.items() if hasattr(kind, "changes")}
    members = {name: list(inspect.signature(kind).parameters) for name, kind in groups.items()}

    @wraps(command)
    def run(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{member: given.pop(member) for member in members[name]})
        command(**given)

    plain = [p for name, p in signature.parameters.items() if name not in groups]
    plain += [
        p for kind in groups.values() for p in inspect.signature(kind, eval_str=True).parameters.values()
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in plain]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def require_extra(name: str) -> None:
    """Check that the packages of an extra are installed, or raise a :class:`MissingExtraError`."""
    missing = [package for package in PACKAGES[name] if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            found=f"no package {', '.join(missing)}",
            expected=f"the packages of the {name} extra",
            do=f"Run: pip install 'spinelift[{name}]'",
        )


@contextmanager
def exit_code_of_signals() -> Iterator[None]:
    """End the block on SIGTERM as on Ctrl-C, with the exit code of the signal: 143, or 130."""
    received = [signal.SIGINT]

    def stop(number: int, _: object) -> None:
        received[0] = signal.Signals(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(128 + received[0]) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def parse_spacing(text: str) -> "Spacing":
    """Pixel size from ``ROW,COL`` in mm; a :class:`ConfigError` if that is not two positive numbers."""
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


def parse_formats(text: str) -> tuple[str, ...]:
    """Formats of a figure from names with commas between them; a :class:`ConfigError` if one is not known."""
    from spinelift.report import FIGURE_FORMATS

    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    if not set(names) <= set(FIGURE_FORMATS):
        raise ConfigError(
            found=f"--figure-format {text}",
            expected="png, svg or pdf, or several of them with commas between",
            do="Give one format or more, such as png,pdf.",
        )
    return names


def read_list(name: str) -> list[Path]:
    """Paths of a list, one a line (or ended by NUL, as ``find -print0`` does); ``-`` is standard input."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        found = f"a list {Path(name).name} that cannot be read ({error.strerror})"
        raise NoScansError(found=found, expected="a text file of paths", do="Check --list.") from None
    lines = (
        data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").split(b"\0" if b"\0" in data else b"\n")
    )
    paths = [Path(os.fsdecode(line)) for line in lines if line.strip()]
    if not paths:
        found = "a list without any path"
        raise NoScansError(found=found, expected="one path a line", do="Check --list.")
    return paths


def print_outcome(outcome: "Outcome", out: Path) -> None:
    """Print the length and the last validation of a training run, once for all its processes."""
    if not outcome.main:
        return
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in outcome.validation.items())
    typer.echo(f"{outcome.steps} steps in {outcome.seconds / 60:.1f} min: {metrics} → {out}")


def print_error(error: SpineliftError) -> None:
    """Print an error on stderr: what was found, what was expected, and what to do."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for title, text in (("Found", error.found), ("Expected", error.expected), ("Do", error.do)):
        grid.add_row(title, escape(text))
    name = f"[bold red]Error[/bold red] [red]{type(error).__name__}[/red]"
    console = Console(stderr=True, highlight=False)
    console.print(f"{name} (exit code {error.exit_code})")
    console.print(grid)
