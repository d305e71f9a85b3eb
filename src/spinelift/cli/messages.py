"""Messages of the command line."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spinelift.errors import SpineliftError


def stderr() -> Console:
    """Console for messages; results go to stdout."""
    return Console(stderr=True, highlight=False)


def print_error(error: SpineliftError) -> None:
    """Print an error as found, expected and do, on stderr."""
    console = stderr()
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("Found", escape(error.found))
    grid.add_row("Expected", escape(error.expected))
    grid.add_row("Do", escape(error.do))
    console.print(
        f"[bold red]Error[/bold red] [red]{type(error).__name__}[/red] (exit code {error.exit_code})"
    )
    console.print(grid)
