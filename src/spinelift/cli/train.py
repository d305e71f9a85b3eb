"""``spinelift train``: the networks, and the bundle made of them."""

from pathlib import Path
from typing import Annotated

import typer

from spinelift.cli.options import (
    ConfigPath,
    Data,
    InitFrom,
    Minutes,
    Out,
    Resume,
    Threads,
    Val,
    print_outcome,
    require_extra,
)
from spinelift.cli.train_cohort import aligner, mri_segmenter, pseudo_labels

app = typer.Typer(help="Train networks and make a model bundle.", no_args_is_help=True)


@app.command()
def regressor(
    data: Data,
    val: Val,
    out: Out,
    config: ConfigPath = "default.yaml",
    resume: Resume = False,
    max_minutes: Minutes = None,
    threads: Threads = None,
    init_from: InitFrom = None,
) -> None:
    """Train the network that predicts six curves from a crop."""
    require_extra("train")
    from spinelift.learn.regressor.config import RegressorConfig
    from spinelift.learn.regressor.train import train_regressor

    chosen = RegressorConfig.load(config)
    chosen = chosen.override(max_minutes=max_minutes, threads=threads, init_from=init_from)
    print_outcome(train_regressor(chosen, data=data, validation=val, out=out, resume=resume), out)


@app.command()
def segmenter(
    data: Data,
    val: Val,
    out: Out,
    config: ConfigPath = "segmenter.yaml",
    resume: Resume = False,
    max_minutes: Minutes = None,
    threads: Threads = None,
    init_from: InitFrom = None,
) -> None:
    """Train the network that finds the spine and its two ends on a whole-body image."""
    require_extra("train")
    from spinelift.learn.segmenter.config import SegmenterConfig
    from spinelift.learn.segmenter.train import train_segmenter

    chosen = SegmenterConfig.load(config)
    chosen = chosen.override(max_minutes=max_minutes, threads=threads, init_from=init_from)
    print_outcome(train_segmenter(chosen, data=data, validation=val, out=out, resume=resume), out)


@app.command()
def bundle(
    regressor: Annotated[Path, typer.Option(help="Run of the regressor.")],
    segmenter: Annotated[Path, typer.Option(help="Run of the segmenter.")],
    calibration: Annotated[
        Path, typer.Option(help="Pair store of people used neither for training nor for testing.")
    ],
    test: Annotated[Path, typer.Option(help="Pair store to test on.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; an existing one is replaced.")],
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "default",
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    train: Annotated[
        list[Path] | None,
        typer.Option(help="Pair store to fit the baselines to.", show_default="no baselines"),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Largest number of people to calibrate on and to fit to.", show_default="all"),
    ] = None,
) -> None:
    """Export both networks, calibrate and test them, and write the card."""
    require_extra("train")
    from spinelift.learn.export.bundle import BundlePlan, make_bundle

    plan = BundlePlan(name, version, regressor, segmenter, calibration, test, tuple(train or ()), limit=limit)
    card = make_bundle(plan, out)
    for metric in card.metrics:
        typer.echo(
            f"{metric.name:32} {metric.value:8.3f} {metric.unit:3} {metric.interval95} {metric.baselines}"
        )


app.command("mri-segmenter")(mri_segmenter)
app.command("pseudo-labels")(pseudo_labels)
app.command()(aligner)
