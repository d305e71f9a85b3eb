"""``spinelift train``: regressor, segmenter, and the bundle made of both."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spinelift.cli.extras import require_extra
from spinelift.cli.options import ConfigPath, Data, InitFrom, Minutes, Out, Resume, Threads, Val, override
from spinelift.cli.train_cohort import aligner, pseudo_labels

if TYPE_CHECKING:
    from spinelift.bundle.card import Card

app = typer.Typer(help="Train the networks and make a bundle of them.", no_args_is_help=True)


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
    """Train the network that turns a crop into six curves."""
    require_extra("train")
    from spinelift.learn.regressor.config import RegressorConfig
    from spinelift.learn.regressor.train import train_regressor

    chosen = RegressorConfig.load(config)
    chosen = chosen.model_copy(
        update={
            "loop": override(chosen.loop, max_minutes, threads),
            "init_from": str(init_from) if init_from else chosen.init_from,
        }
    )
    outcome = train_regressor(chosen, data=data, validation=val, out=out, resume=resume)
    typer.echo(f"{outcome.steps} steps in {outcome.seconds / 60:.1f} min: {outcome.validation} → {out}")


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
    chosen = chosen.model_copy(
        update={
            "loop": override(chosen.loop, max_minutes, threads),
            "init_from": str(init_from) if init_from else chosen.init_from,
        }
    )
    outcome = train_segmenter(chosen, data=data, validation=val, out=out, resume=resume)
    typer.echo(f"{outcome.steps} steps in {outcome.seconds / 60:.1f} min: {outcome.validation} → {out}")


@app.command("mri-segmenter")
def mri_segmenter(
    cohort: Annotated[Path, typer.Option(help="Simulated cohort to train on: folders mri/ and truth/.")],
    val: Annotated[Path, typer.Option(help="Another one, of other people, to measure on.")],
    out: Out,
    config: ConfigPath = "mri_segmenter.yaml",
    resume: Resume = False,
    max_minutes: Minutes = None,
    threads: Threads = None,
) -> None:
    """Train the networks that find the spine in a Dixon MRI, and measure them on unseen people.

    [bold]Example[/bold]: spinelift train mri-segmenter --cohort people --val others --out runs/mri
    """
    require_extra("train")
    from spinelift.bundle import MriSegmenterCard, add_metrics
    from spinelift.cli.progress import progress
    from spinelift.learn.mri_segmenter.config import MriSegmenterConfig
    from spinelift.learn.mri_segmenter.data import load_people
    from spinelift.learn.mri_segmenter.evaluate import evaluate_cohort
    from spinelift.learn.mri_segmenter.export import card_metrics
    from spinelift.learn.mri_segmenter.train import train_mri_segmenter

    chosen = MriSegmenterConfig.load(config)
    chosen = chosen.model_copy(update={"loop": override(chosen.loop, max_minutes, threads)})
    with progress("reading archives", len(list((cohort / "truth").glob("*.json")))) as tick:
        people = load_people(cohort, out / "cache" / "train", tick=tick)
    held_out = load_people(val, out / "cache" / "val")
    outcome = train_mri_segmenter(
        chosen, people=people, held_out=held_out, source=[cohort], out=out, resume=resume
    )
    metrics = evaluate_cohort(val, out)
    add_metrics(MriSegmenterCard, out, card_metrics(metrics, val.name))
    typer.echo(f"{outcome.steps} steps in {outcome.seconds / 60:.1f} min → {out}")
    for name, value in metrics.items():
        typer.echo(f"{name:28} {value}")


Calibration = Annotated[
    Path, typer.Option(help="Pair store to calibrate on: people used neither for training nor for testing.")
]
Test = Annotated[Path, typer.Option(help="Pair store to test on.")]
Baselines = Annotated[list[Path] | None, typer.Option(help="Store that the baselines are fitted to.")]
Limit = Annotated[int | None, typer.Option(help="At most so many people to calibrate and fit on.")]
BundleOut = Annotated[Path, typer.Option(help="Folder of the bundle; replaced when it exists.")]


@app.command()
def bundle(
    regressor: Annotated[Path, typer.Option(help="Run of the regressor.")],
    segmenter: Annotated[Path, typer.Option(help="Run of the segmenter.")],
    calibration: Calibration,
    test: Test,
    out: BundleOut,
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "default",
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    train: Baselines = None,
    limit: Limit = None,
) -> None:
    """Export both networks, calibrate, measure, and write the card."""
    require_extra("train")
    from spinelift.learn.export.bundle import BundlePlan, make_bundle
    from spinelift.learn.export.trained import Trained

    plan = BundlePlan(name, version, calibration, test, tuple(train or ()), limit=limit)
    _print_metrics(make_bundle(Trained.from_runs(regressor, segmenter), plan, out))


@app.command()
def recalibrate(
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle whose weights are kept.")],
    calibration: Calibration,
    test: Test,
    out: BundleOut,
    version: Annotated[str, typer.Option(help="Version of the new bundle.")],
    train: Baselines = None,
    limit: Limit = None,
) -> None:
    """Make a bundle of the weights of another one: new gains, intervals and figures, no training."""
    require_extra("train")
    from spinelift.bundle import PredictionCard, load_bundle
    from spinelift.learn.export.bundle import BundlePlan, make_bundle
    from spinelift.learn.export.trained import Trained

    name = load_bundle(PredictionCard, bundle).ref.name
    plan = BundlePlan(name, version, calibration, test, tuple(train or ()), limit=limit)
    _print_metrics(make_bundle(Trained.from_bundle(bundle), plan, out))


def _print_metrics(card: "Card") -> None:
    for metric in card.metrics:
        typer.echo(
            f"{metric.name:24} {metric.value:8.3f} {metric.unit:3} {metric.interval95} {metric.baselines}"
        )


app.command("pseudo-labels")(pseudo_labels)
app.command()(aligner)
