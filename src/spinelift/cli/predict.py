"""``spinelift predict``: 3D spines from DXA scans, with pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from spinelift.cli.options import Bundle, parse_spacing, print_error
from spinelift.errors import NoScansError, SpineliftError
from spinelift.files import make_folder
from spinelift.progress import progress
from spinelift.report import PICTURE_NAMES

if TYPE_CHECKING:
    from spinelift.inference.batch import BatchReport, Failure
    from spinelift.inference.prediction import Prediction

app = typer.Typer(add_completion=False)


@app.command()
def predict(
    scans: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCAN",
            help="UK Biobank zips, DICOM files, PNG or TIFF images (with --spacing), or folders of them.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder, with one sub-folder for each scan.")
    ] = Path("spinelift-results"),
    spacing: Annotated[
        str | None,
        typer.Option(metavar="ROW,COL", help="Height and width of a pixel, mm, for images without them."),
    ] = None,
    area: Annotated[
        Literal["total-body"] | None,
        typer.Option(
            help="The DICOM images are of this area, whatever their ProtocolName and size say.",
        ),
    ] = None,
    bundle: Bundle = None,
    pictures: Annotated[
        bool,
        typer.Option(help="Also write overlay, animation, 3D page and meshes."),
    ] = True,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores, at most 4")
    ] = None,
) -> None:
    """Predict the 3D spine of one or many DXA scans.

    For each scan, a folder [bold]OUT/<scan id>/[/bold] with

    - [bold]curves.json[/bold], [bold]curves.csv[/bold]: the six curves in mm with 90 % intervals
    - [bold]overlay.png[/bold]: the scan with the spine on it, beside the side view
    - [bold]spine.html[/bold]: an interactive 3D page, for any browser, offline
    - [bold]spine.gif[/bold], [bold]spine.stl[/bold], [bold]spine.glb[/bold]: animation and meshes
    - [bold]run.json[/bold]: versions, hashes, times, warnings

    A scan that cannot be used is a row in [bold]OUT/failed.csv[/bold], and the others continue.
    Results are listed in [bold]OUT/summary.csv[/bold].

    [bold]Examples[/bold]

    One UK Biobank scan:
    [cyan]spinelift predict 1234567_20158_2_0.zip -o results[/cyan]

    A folder of scans, numbers only:
    [cyan]spinelift predict scans/ -o results --no-pictures[/cyan]

    An image with pixels of 2.427 mm by 2.419 mm:
    [cyan]spinelift predict bone.png --spacing 2.427,2.419 -o results[/cyan]

    [bold]Exit codes[/bold]

    - 0: success; 2: wrong command line; 3: some scans failed
    - 10 and above: the cause, if all scans failed for the same one, such as
      13 no DXA inside, 15 no pixel size, 19 no spine, 30 bad bundle
    """
    from spinelift.inference.batch import run_batch
    from spinelift.inference.model import load_model

    pixel = None if spacing is None else parse_spacing(spacing)
    found, lost = _find(scans)
    make_folder(out)
    model = load_model(bundle, threads=threads)
    with progress("scans", len(found)) as advance:
        report = run_batch(
            model, found, out, spacing=pixel, area=area,
            pictures=make_result_pictures if pictures else None, picture_names=PICTURE_NAMES,
            lost=lost, on_done=lambda _: advance(1),
        )  # fmt: skip
    _print_report(report, out)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _find(paths: list[Path]) -> "tuple[list[Path], list[Failure]]":
    """Scans in the given paths, without pictures of earlier results; and the paths without scans."""
    from spinelift.inference.batch import Failure
    from spinelift.inference.outputs import CURVES_JSON
    from spinelift.io import find_scans

    found: list[Path] = []
    lost = []
    for path in paths:
        try:
            found += find_scans([path])
        except SpineliftError as error:
            lost.append(Failure(path.name or str(path), error))
    scans = [p for p in found if not (p.name in PICTURE_NAMES and (p.parent / CURVES_JSON).exists())]
    if not scans and len(lost) == 1:
        raise lost[0].error
    if not scans and not lost:
        raise NoScansError(
            found="nothing but earlier results of spinelift in the given paths",
            expected="DXA zips, DICOM files, or PNG or TIFF images",
            do="Check the paths.",
        )
    return list(dict.fromkeys(scans)), lost


def make_result_pictures(prediction: "Prediction") -> dict[str, bytes]:
    """Every picture of a result, by file name."""
    from spinelift.report.pictures import make_pictures

    return make_pictures(prediction.scene())


def _print_report(report: "BatchReport", out: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for success in report.good[:20]:
        console.print(f"[green]{escape(success.name)}[/green] → {escape(str(out / success.scan_id))}")
        for warning in success.warnings:
            console.print(f"  [yellow]warning[/yellow] {escape(warning)}")
    good, failed = len(report.good), len(report.failed)
    if good > 20:
        console.print(f"… {good} results in all, listed in {escape(str(out / 'summary.csv'))}")
    if failed == 1 and not good:
        print_error(report.failed[0].error)
    elif failed:
        text = f"[bold red]{failed} of {good + failed} scans failed[/bold red]: see "
        Console(stderr=True, highlight=False).print(f"{text}{escape(str(out / 'failed.csv'))}")
