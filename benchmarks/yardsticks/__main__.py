"""``python -m benchmarks.yardsticks``: a bundle measured on real and half-real people."""

from pathlib import Path
from typing import Annotated

import typer

from spinelift.cli.options import parse_spacing, print_error
from spinelift.errors import ConfigError, SpineliftError


def real(
    out: Annotated[Path, typer.Option(help="Folder for report.json, report.md, pictures and cached cases.")],
    bundle: Annotated[Path | None, typer.Option(help="Model bundle; without it the default one.")] = None,
    centroids: Annotated[
        Path | None, typer.Option(help="CSV of real vertebral-body centres (yardsticks 2 and 5).")
    ] = None,
    scan: Annotated[
        Path | None, typer.Option(help="PNG of the real scan that was marked (yardstick 4).")
    ] = None,
    spacing: Annotated[
        str, typer.Option(help="Pixel size of the real scan in mm, row,column.")
    ] = "2.427,2.419",
    donors: Annotated[
        list[Path] | None,
        typer.Option(help="Library of donors beside the shipped one (yardstick 5); several times."),
    ] = None,
    example: Annotated[
        Path | None,
        typer.Option(
            help="Folder of TotalSegmentator's example, ct_3mm.nii.gz and labels_3mm.nii.gz (yardstick 6)."
        ),
    ] = None,
    cases: Annotated[
        str,
        typer.Option(
            help="Yardsticks: 1 real CT, 2 half-real people, 3 other simulator, 4 real scan, "
            "5 vertebrae of real people, 6 ends of the spine."
        ),
    ] = "1,2,3,4,5,6",
    copies: Annotated[int, typer.Option(help="Half-real people on every real spine.", min=1)] = 4,
    drawn: Annotated[int, typer.Option(help="People of the other simulator.", min=1)] = 300,
    into_card: Annotated[
        bool, typer.Option("--into-card", help="Write the figures into the card of --bundle, a folder.")
    ] = False,
) -> None:
    """Measure a bundle on real and half-real people; what lacks its data is skipped, with the reason."""
    numbers, pixel = parse_cases(cases), parse_spacing(spacing)
    if into_card and bundle is None:
        raise ConfigError(
            found="--into-card without --bundle", expected="the bundle whose card it is", do="Give --bundle."
        )
    from benchmarks.yardsticks.bundle import (
        add_to_card,
        bundle_mean_curves,
        bundle_predictor,
        bundle_segmenter,
        donors_of,
    )
    from benchmarks.yardsticks.run import Plan, run_yardsticks
    from spinelift.bundle import PredictionCard, load_bundle

    loaded = load_bundle(PredictionCard, bundle)
    plan = Plan(
        out=out, yardsticks=numbers, centroids=centroids, scan=scan, spacing=pixel,
        donors=tuple(donors or ()), seen=donors_of(loaded), example=example, copies=copies, drawn=drawn,
    )  # fmt: skip
    report = run_yardsticks(
        plan, bundle_predictor(loaded), bundle_mean_curves(loaded), segmenter=bundle_segmenter(loaded),
        log=typer.echo,
    )  # fmt: skip
    typer.echo(f"\n{loaded.ref.name} {loaded.ref.version}\n\n{report.to_markdown()}")
    if into_card and bundle is not None:
        add_to_card(bundle, report.figures)


def parse_cases(text: str) -> tuple[int, ...]:
    """``1,3`` → (1, 3)."""
    parts = [p.strip() for p in text.split(",")]
    if not all(p in {"1", "2", "3", "4", "5", "6"} for p in parts):
        raise ConfigError(
            found=f"--cases {text}", expected="numbers from 1 to 6, as 1,2,3,4,5,6", do="Correct it."
        )
    return tuple(sorted({int(p) for p in parts}))


if __name__ == "__main__":
    try:
        typer.run(real)
    except SpineliftError as error:
        print_error(error)
        raise SystemExit(error.exit_code) from error
