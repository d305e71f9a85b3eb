"""The command line: ``spinelift COMMAND``.

A command is one module of this package, named in ``COMMANDS``, with a Typer app called ``app``. Modules are
imported when their command is called, and import heavy packages inside the command.
"""

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from spinelift.cli.options import print_error
from spinelift.errors import SpineliftError
from spinelift.version import __version__

COMMANDS = (
    "demo", "mri", "align", "cohort", "predict", "measure", "compare", "report", "simulate", "train", "study",
    "evaluate", "serve", "info",
)  # fmt: skip


class _LazyGroup(TyperGroup):
    """Imports the module of a command when it is called; shows errors of spinelift without a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(import_module(f"spinelift.cli.{cmd_name}").app)
        command.name = cmd_name
        return command

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "" in args:  # would be taken for the current folder
            raise typer.BadParameter("an empty argument; perhaps a variable of the shell is not set")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SpineliftError as error:
            print_error(error)
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"spinelift {__version__}")
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
    if isinstance(sys.stdout, TextIOWrapper):  # a console may lack some characters, as stderr may already
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
