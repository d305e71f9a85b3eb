"""``spinelift compare``: two visits of one person."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spinelift.cli.options import Bundle, parse_spacing
from spinelift.files import make_folder, write_json, write_whole

if TYPE_CHECKING:
    from spinelift.geometry import Spacing

app = typer.Typer(add_completion=False)
Visit = Annotated[Path, typer.Argument(help="curves.json, the folder of a result, or a scan.")]


@app.command()
def compare(
    first: Visit,
    second: Visit,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for change.json and change.png.")
    ] = None,
    spacing: Annotated[
        str | None, typer.Option(metavar="ROW,COL", help="Pixel size, mm, of scans without one.")
    ] = None,
    bundle: Bundle = None,
) -> None:
    """Print what changed between two visits, against the repeatability of each measure.

    [bold]Example[/bold]: spinelift compare results/1900003_2_0 results/1900003_3_0 -o change
    """
    from spinelift.inference.measuring import measure
    from spinelift.measures import compare_spines

    pixel = None if spacing is None else parse_spacing(spacing)
    documents = _document(first, bundle, pixel), _document(second, bundle, pixel)
    change = compare_spines(*map(measure, documents))
    typer.echo(str(change))
    if out is not None:
        from spinelift.report.change import change_png

        names = [document["scan_id"] for document in documents]
        make_folder(out)
        write_json(out / "change.json", {"format": 1, "scan_ids": names, **change.to_dict()})
        write_whole(out / "change.png", change_png(documents, str(change)))


def _document(path: Path, bundle: Path | None, pixel: "Spacing | None") -> dict[str, Any]:
    """Content of a ``curves.json``: of a result, or of a scan that is predicted now."""
    from spinelift.inference import predict
    from spinelift.inference.measuring import is_result, read_curves

    if is_result(path):
        return read_curves(path)
    prediction = predict(path, bundle=bundle, spacing=pixel)
    document: dict[str, Any] = json.loads(prediction.curves_json())
    return document
