"""``spinelift predict``: 3D spines from DXA scans, with pictures."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from spinelift.cli.options import (
    Bundle,
    Scheduler,
    exit_code_of_signals,
    parse_formats,
    parse_spacing,
    print_error,
    read_list,
    require_extra,
)
from spinelift.files import make_folder
from spinelift.progress import Progress

if TYPE_CHECKING:
    from spinelift.inference.batch import BatchReport
    from spinelift.inference.task import Outcome
    from spinelift.io.dxa.discover import Found

app = typer.Typer(add_completion=False)
SHOWN = 20
"""Number of results that are printed."""


@app.command()
def predict(
    scans: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SCAN...",
            help="UK Biobank zips, DICOM files, PNG or TIFF images (with --spacing), folders of them at any "
            "depth, or quoted patterns such as 'scans/*.zip'.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder, with one sub-folder for each scan.")
    ] = Path("spinelift-results"),
    listed: Annotated[
        str | None,
        typer.Option("--list", metavar="FILE", help="Text file with one SCAN a line; - for standard input."),
    ] = None,
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
        typer.Option(help="Also write page, overlay, animation, 3D page, meshes and markups."),
    ] = True,
    figure_format: Annotated[
        str, typer.Option(metavar="FORMATS", help="Of the overlay: png, svg, pdf, with commas between them.")
    ] = "png",
    report: Annotated[
        bool, typer.Option("--report", help="Also write the page of the patient as report.pdf.")
    ] = False,
    save_mask: Annotated[
        bool, typer.Option("--save-mask", help="Also write the spine on the DXA as mask.png and mask.nii.gz.")
    ] = False,
    dicom: Annotated[
        bool,
        typer.Option(
            "--dicom", help="Also write DICOM objects of the patient's study, which name the patient."
        ),
    ] = False,
    dicom_deidentified: Annotated[
        bool,
        typer.Option("--dicom-deidentified", help="Also write DICOM objects that name the scan id alone."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Predict again what is done already.")
    ] = False,
    paths: Annotated[
        bool, typer.Option("--paths/--no-paths", help="Name the input path in run.json and the tables.")
    ] = True,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes, about 0.4 GB each.", show_default="all cores, at most 4"),
    ] = None,
    scheduler: Scheduler = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of each process.", show_default="1; all cores for one scan"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print a line for every scan, and tracebacks.")
    ] = False,
) -> None:
    """Predict the 3D spine of one or many DXA scans.

    For each scan, a folder [bold]OUT/<scan id>/[/bold] with

    - [bold]curves.json[/bold], [bold]curves.csv[/bold]: the six curves in mm with 90 % intervals
    - [bold]report.html[/bold], and with --report [bold]report.pdf[/bold]: one page of views, measures and
      warnings
    - [bold]overlay.png[/bold]: the scan with the spine on it, beside the side view
    - [bold]spine.html[/bold]: an interactive 3D page, for any browser, offline
    - [bold]spine.gif[/bold]: animation
    - [bold]spine.stl[/bold], [bold]spine_parts.stl[/bold], [bold]spine.glb[/bold]: meshes
    - [bold]spine.mrk.json[/bold]: centre line and levels for 3D Slicer
    - with --dicom, [bold]sr.dcm[/bold], [bold]seg.dcm[/bold], [bold]sc.dcm[/bold], [bold]pdf.dcm[/bold],
      [bold]stl.dcm[/bold]: structured report, segmentation, overlay, page and mesh for a PACS
    - [bold]run.json[/bold]: versions, hashes, times, warnings

    A scan that cannot be used is a row in [bold]OUT/failed.csv[/bold], and the others continue.
    [bold]OUT/summary.csv[/bold] and summary.parquet list all results in the folder.
    A run that was stopped, at any time, continues when the command is given again: whole results of the same
    file, bundle and options are kept.

    [bold]Examples[/bold]

    One UK Biobank scan:
    [cyan]spinelift predict 1234567_20158_2_0.zip -o results[/cyan]

    A folder of scans, numbers only, on eight cores:
    [cyan]spinelift predict scans/ -o results --no-pictures --workers 8[/cyan]

    An image with pixels of 2.427 mm by 2.419 mm:
    [cyan]spinelift predict bone.png --spacing 2.427,2.419 -o results[/cyan]

    [bold]Exit codes[/bold]

    - 0: success; 2: wrong command line; 3: some scans failed; 130, 143: stopped by Ctrl-C, SIGTERM
    - 10 and above: the cause, if all scans failed for the same one, such as
      13 no DXA inside, 15 no pixel size, 19 no spine, 30 bad bundle
    """
    if not scans and listed is None:
        raise typer.BadParameter("give scans, or a list of them with --list", param_hint="SCAN")
    if dicom and dicom_deidentified:
        raise typer.BadParameter("give --dicom or --dicom-deidentified", param_hint="--dicom")
    for wanted, extra in (
        (scheduler, "cohort"), (report, "report"), (save_mask, "mri"), (dicom or dicom_deidentified, "dicom")
    ):  # fmt: skip
        if wanted:
            require_extra(extra)
    with exit_code_of_signals():
        from spinelift.bundle import PredictionCard, default_threads, load_bundle
        from spinelift.inference.batch import run_batch
        from spinelift.inference.scans import name_scans
        from spinelift.inference.task import Job, load
        from spinelift.io.dxa.discover import search_scans

        formats = parse_formats(figure_format)
        pixel = None if spacing is None else parse_spacing(spacing)
        found = search_scans([*(scans or []), *([] if listed is None else read_list(listed))])
        _check(found)
        named, copies = name_scans(found.scans)
        one = len(named) == 1 and workers is None and scheduler is None
        threads = threads if threads or one else 1
        make_folder(out)
        name = str(bundle) if bundle else None
        ref = load(name, threads).bundle.ref if one else load_bundle(PredictionCard, name).ref
        name = str(Path(name).resolve()) if name and not one else name
        job = Job(
            out.resolve(), ref, name, pixel, area, pictures=pictures, formats=formats, report=report,
            mask=save_mask,
            dicom="study" if dicom else "deidentified" if dicom_deidentified else None,
            paths=paths, overwrite=overwrite, threads=threads,
        )  # fmt: skip
        with _shown(len(named), quiet=quiet, verbose=verbose) as on_done:
            done = run_batch(
                job, named, workers=0 if one else workers or default_threads(),
                scheduler=scheduler, without_scans=found.failed, on_done=on_done,
            )  # fmt: skip
        _print_report(done, found, copies, out, quiet=quiet)
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _check(found: "Found") -> None:
    """Raise the one error of a search without scans."""
    if not found.scans and len(found.failed) == 1:
        raise found.failed[0][1]


@contextmanager
def _shown(total: int, *, quiet: bool, verbose: bool) -> "Iterator[Callable[[Outcome], None]]":
    """Progress on stderr; yields the function that is called with every outcome."""
    if quiet:
        yield lambda _: None
        return
    with Progress("scans", total) as progress:

        def on_done(outcome: "Outcome") -> None:
            progress.advance()
            failure = outcome.failure
            if verbose:
                what = f"failed ({failure.error})" if failure else "done" if outcome.is_new else "done before"
                progress.message(f"{outcome.scan.given}: {what}")
                if failure and failure.details:
                    progress.message(failure.details)

        try:
            yield on_done
        except KeyboardInterrupt:
            progress.message("stopped: the same command continues")
            raise


def _print_report(report: "BatchReport", found: "Found", copies: int, out: Path, *, quiet: bool) -> None:
    failed, total = len(report.failed), len(report.failed) + len(report.new) + len(report.kept)
    if failed == total == 1 and report.failed[0].failure:
        print_error(report.failed[0].failure.shown)
    elif failed:
        text = f"[bold red]{failed} of {total} scans failed[/bold red]: see "
        Console(stderr=True, highlight=False).print(f"{text}{escape(str(out / 'failed.csv'))}")
    if quiet:
        return
    console = Console(highlight=False, soft_wrap=True)
    for outcome in report.new[:SHOWN]:
        scan = outcome.scan
        console.print(f"[green]{escape(Path(scan.given).name)}[/green] → {escape(str(out / scan.scan_id))}")
        for warning in outcome.warnings:
            console.print(f"  [yellow]warning[/yellow] {escape(warning)}")
    for note in _notes(report, found, copies):
        console.print(escape(note))
    if total > 1 or report.results > 1:
        listed = f"{_count(report.results, 'result')} in {escape(str(out / 'summary.csv'))}"
        console.print(f"{len(report.new)} new, {listed}")


def _notes(report: "BatchReport", found: "Found", copies: int) -> Iterator[str]:
    """What was passed over, kept and removed, in words."""
    ignored = [_count(number, what) for what, number in sorted(found.ignored.items()) if number]
    if ignored:
        yield f"ignored {', '.join(ignored)}"
    if copies:
        yield f"merged {_count(copies, 'duplicate')}"
    if report.kept:
        yield f"{_count(len(report.kept), 'scan')} already done (--overwrite predicts them again)"
    if report.removed:
        names = ", ".join(report.removed[:SHOWN]) + (" …" if len(report.removed) > SHOWN else "")
        yield f"removed the earlier results of {_count(len(report.removed), 'scan')} that failed now: {names}"
    if find_spec("polars") is None:
        yield "no summary.parquet: pip install polars"


def _count(number: int, what: str) -> str:
    """A number and its noun: "1 broken link", "2 files of another kind"."""
    noun = re.split(" of | to ", what)[0]
    return f"{number} {what}" if number == 1 else f"{number} {noun}s{what.removeprefix(noun)}"
