"""``spinelift predict``: 3D spines from DXA scans, with pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spinelift.cli.messages import print_error, stderr
from spinelift.cli.options import Bundle, parse_spacing
from spinelift.errors import NoScansError, SpineliftError

if TYPE_CHECKING:
    from spinelift.inference.batch import BatchReport, Failure
    from spinelift.inference.prediction import Prediction
    from spinelift.io.dxa.scan import DxaScan

app = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)


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
        typer.Option("--pictures/--no-pictures", help="Also write overlay, animation, 3D page and meshes."),
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
    pixel = None if spacing is None else parse_spacing(spacing)
    from spinelift.files import make_folder
    from spinelift.inference.batch import run_batch
    from spinelift.inference.model import load_model
    from spinelift.progress import progress
    from spinelift.report.names import PICTURE_NAMES

    found, lost = _find(scans)
    make_folder(out)
    model = load_model(bundle, threads=threads)
    with progress("scans", len(found)) as advance:
        report = run_batch(
            model,
            found,
            out,
            spacing=pixel,
            area=area,
            pictures=make_result_pictures if pictures else None,
            picture_names=PICTURE_NAMES,
            lost=lost,
            on_done=lambda _: advance(1),
        )
    _print_report(report, out)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _find(paths: list[Path]) -> "tuple[list[Path], list[Failure]]":
    """Scans in the given paths, without pictures of earlier results; and the paths without scans."""
    from spinelift.inference.batch import Failure
    from spinelift.inference.outputs import CURVES_JSON
    from spinelift.io import find_scans
    from spinelift.report.names import PICTURE_NAMES

    found: dict[Path, None] = {}
    lost = []
    for path in paths:
        try:
            for scan in find_scans([path]):
                if not (scan.name in PICTURE_NAMES and (scan.parent / CURVES_JSON).exists()):
                    found[scan] = None
        except SpineliftError as error:
            lost.append(Failure(path.name or str(path), error))
    if not found and len(lost) == 1:
        raise lost[0].error
    if not found and not lost:
        raise NoScansError(
            found="nothing but earlier results of spinelift in the given paths",
            expected="DXA zips, DICOM files, or PNG or TIFF images",
            do="Check the paths.",
        )
    return list(found), lost


def make_result_pictures(prediction: "Prediction", scan: "DxaScan") -> dict[str, bytes]:
    """Every picture of a result, by file name."""
    from spinelift.report.pictures import SpineScene, make_pictures

    scene = SpineScene(
        scan_id=prediction.scan_id,
        image=scan.bone,
        curves=prediction.curves,
        half_width_mm=prediction.half_width_mm,
        plausible=prediction.plausible_spines(),
        warnings=prediction.warnings,
        made_by=f"{prediction.bundle.name} {prediction.bundle.version}",
    )
    return make_pictures(scene)


def _print_report(report: "BatchReport", out: Path) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    for success in report.good[:20]:
        console.print(f"[green]{escape(success.name)}[/green] → {escape(str(out / success.scan_id))}")
        for warning in success.warnings:
            console.print(f"  [yellow]warning[/yellow] {escape(warning)}")
    if len(report.good) > 20:
        console.print(f"… {len(report.good)} results in all, listed in {escape(str(out / 'summary.csv'))}")
    if len(report.failed) == 1 and not report.good:
        print_error(report.failed[0].error)
    elif report.failed:
        total = len(report.good) + len(report.failed)
        stderr().print(
            f"[bold red]{len(report.failed)} of {total} scans failed[/bold red]: see "
            f"{escape(str(out / 'failed.csv'))}"
        )
