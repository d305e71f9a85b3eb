"""``spinelift report``: the contact sheet of an output folder."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

app = typer.Typer(add_completion=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Output folder of [bold]spinelift predict[/bold].")],
    top: Annotated[int, typer.Option(min=1, help="Results that are shown.")] = 200,
) -> None:
    """Write a contact sheet of all results of a folder, the largest Ferguson angle first.

    [bold]FOLDER/contact.html[/bold] and [bold]contact.png[/bold] show the front view of each result with its
    angle, class and warnings. The page links to each [bold]report.html[/bold]. summary.csv and
    summary.parquet have the measures of all results.

    [bold]Example[/bold]: spinelift report results
    """
    from spinelift.errors import InvalidCurveError
    from spinelift.files import write_whole
    from spinelift.inference.measuring import find_results, measure, read_curves
    from spinelift.io.dxa.discover import SHEET_MARK
    from spinelift.report import SHEET
    from spinelift.report.contact import contact_html, contact_png, make_card

    angles, unread = {}, []
    for result in find_results(folder):
        try:
            angles[result] = measure(result).ferguson_deg.value
        except InvalidCurveError:
            unread.append(result.name)
    shown = sorted(angles, key=lambda result: (-angles[result], result.name))[:top]
    documents = {result: read_curves(result) for result in shown}
    cards = [make_card(result, document, measure(document)) for result, document in documents.items()]
    write_whole(folder / SHEET, contact_html(cards, len(angles)).encode())
    write_whole(folder / SHEET_MARK, contact_png(cards))
    console = Console(highlight=False, soft_wrap=True)
    for name in unread:
        console.print(
            f"[yellow]skipped[/yellow] {escape(name)}: curves.json is damaged or of another version"
        )
    for name in (SHEET, SHEET_MARK):
        console.print(escape(str(folder / name)))
