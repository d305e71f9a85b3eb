"""The command line: ``spinelift COMMAND``.

A command is one module of this package with a Typer app called ``app``, and one row in ``COMMANDS``.
Modules are imported when their command is called, and import heavy packages inside the command.
"""

from importlib import import_module
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from spinelift.cli.messages import print_error
from spinelift.errors import SpineliftError

COMMANDS = {
    "demo": "spinelift.cli.demo",
    "mri": "spinelift.cli.mri",
    "align": "spinelift.cli.align",
    "cohort": "spinelift.cli.cohort",
    "predict": "spinelift.cli.predict",
    "simulate": "spinelift.cli.simulate",
    "train": "spinelift.cli.train",
    "evaluate": "spinelift.cli.evaluate",
}


class _LazyGroup(TyperGroup):
    """Imports the module of a command when it is called; shows errors of spinelift without a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(import_module(COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SpineliftError as error:
            print_error(error)
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from spinelift.version import __version__

        Console().print(f"spinelift {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Reconstruct the spine in 3D from a single 2D DXA scan.

    Start with [bold]spinelift predict SCAN -o results[/bold]. Research use only; not a medical device.
    """


def main() -> None:
    """Entry point of the ``spinelift`` script."""
    app()
