"""``spinelift measure``: clinical measures of results."""

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from spinelift.measures import Measured, SpineMeasures

app = typer.Typer(add_completion=False)


@app.command()
def measure(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT...", help="curves.json files, folders of results, or output folders."),
    ],
    form: Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="Form of the output.")] = (
        "table"
    ),
) -> None:
    """Print the clinical measures of results of [bold]spinelift predict[/bold].

    Angles, curves, vertebral levels and the screening for scoliosis, with 90 % intervals. JSON has all of
    them, a list with one object a result; CSV and table those of the whole spine.

    [bold]Example[/bold]: spinelift measure results --format csv > measures.csv
    """
    from spinelift.inference.measuring import find_curves, measure, read_curves

    documents = [read_curves(path) for path in find_curves(results)]
    rows = [(str(document.get("scan_id", "")), measure(document)) for document in documents]
    if form == "json":
        typer.echo(json.dumps([{"scan_id": name, **found.to_dict()} for name, found in rows], indent=1))
    elif form == "csv":
        lines = [_line(name, found) for name, found in rows]
        table = csv.DictWriter(sys.stdout, lines[0], lineterminator="\n")
        table.writeheader()
        table.writerows(lines)
    else:
        _print(rows)


def _line(name: str, found: "SpineMeasures") -> dict[str, object]:
    """A row of the CSV: numbers rounded to 0.001."""
    numbers = {
        key: round(value, 3) if isinstance(value, float) else value for key, value in found.columns().items()
    }
    return {
        "scan_id": name, **numbers, "screening": found.screening.finding, "main_curve": str(found.main or ""),
    }  # fmt: skip


def _print(rows: "list[tuple[str, SpineMeasures]]") -> None:
    table = Table()
    for title in ("scan", "Ferguson", "Cobb-equivalent", "kyphosis", "lordosis", "main curve", "screening"):
        table.add_column(title, overflow="fold")
    for name, found in rows:
        angles = (found.ferguson_deg, found.cobb_equivalent_deg, found.kyphosis_deg, found.lordosis_deg)
        chance = (found.screening.probability or {}).get(found.screening.finding)
        screening = found.screening.finding + ("" if found.screening.finding == "none" else "°")
        screening += "" if chance is None else f" ({100 * chance:.0f} %)"
        table.add_row(name, *map(_angle, angles), str(found.main or "none"), screening)
    Console(highlight=False, soft_wrap=True).print(table)


def _angle(angle: "Measured") -> str:
    low_high = angle.interval90
    return f"{angle.value:.1f}°" + (f" ({low_high[0]:.1f} to {low_high[1]:.1f})" if low_high else "")
