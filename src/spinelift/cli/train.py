"""``spinelift train``: the networks, and the bundle made of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spinelift.cli import options as opt
from spinelift.progress import progress

if TYPE_CHECKING:
    from spinelift.bundle.card import Card

app = opt.command_group("Train networks and make a model bundle.")


@app.command()
@opt.with_options
def regressor(
    val: opt.Val, out: opt.Out, run: opt.RunOptions, processes: opt.ProcessOptions,
    network: opt.NetworkOptions, data: opt.Data = None, config: opt.ConfigPath = "default.yaml",
) -> None:  # fmt: skip
    """Train the network that predicts six curves from a crop."""
    opt.require_extra("train")
    from spinelift.learn.regressor.config import RegressorConfig
    from spinelift.learn.regressor.train import train_regressor

    changes = run.changes() | processes.changes() | network.changes()
    chosen = RegressorConfig.load(config).override(changes)
    outcome = train_regressor(chosen, data=data or [], validation=val, out=out, resume=run.resume)
    opt.print_outcome(outcome, out)


@app.command()
@opt.with_options
def segmenter(
    data: opt.Scans, val: opt.Val, out: opt.Out, run: opt.RunOptions, processes: opt.ProcessOptions,
    config: opt.ConfigPath = "segmenter.yaml",
) -> None:  # fmt: skip
    """Train the network that finds the spine and its two ends on a whole-body image."""
    opt.require_extra("train")
    from spinelift.learn.segmenter.config import SegmenterConfig
    from spinelift.learn.segmenter.train import train_segmenter

    chosen = SegmenterConfig.load(config).override(run.changes() | processes.changes())
    opt.print_outcome(train_segmenter(chosen, data=data, validation=val, out=out, resume=run.resume), out)


@app.command()
@opt.with_options
def lva(
    data: opt.Scans, val: opt.Val, out: opt.Out, run: opt.RunOptions, processes: opt.ProcessOptions,
    config: opt.ConfigPath = "lva.yaml",
) -> None:  # fmt: skip
    """Train the network that finds the spine in lateral vertebral views (LVA), and test it on --val.

    The folder of the run is a network for `spinelift evaluate lva --lva-network`.
    """
    opt.require_extra("train")
    from spinelift.learn.lva.train import train_lva
    from spinelift.learn.segmenter.config import SegmenterConfig

    chosen = SegmenterConfig.load(config).override(run.changes() | processes.changes())
    opt.print_outcome(train_lva(chosen, data=data, validation=val, out=out, resume=run.resume), out)


Calibration = Annotated[
    Path, typer.Option(help="Pair store to calibrate on: people used neither for training nor for testing.")
]
Test = Annotated[Path, typer.Option(help="Pair store to test on.")]
Limit = Annotated[int | None, typer.Option(help="Largest number of people to calibrate and fit on.")]
BundleOut = Annotated[Path, typer.Option(help="Folder of the bundle; an existing one is replaced.")]


@app.command()
def bundle(
    regressor: Annotated[Path, typer.Option(help="Run of the regressor.")],
    segmenter: Annotated[Path, typer.Option(help="Run of the segmenter, or `default`: that which ships.")],
    calibration: Calibration,
    test: Test,
    out: BundleOut,
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "default",
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    train: opt.Baselines = None,
    limit: Limit = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the bundle, for its card.")] = None,
    without_people: Annotated[
        bool, typer.Option("--without-people", help="Leave out the hashes of the people of training.")
    ] = False,
) -> None:
    """Export both networks, calibrate and test them, and write the card."""
    opt.require_extra("train")
    from spinelift.bundle import PredictionCard, shipped
    from spinelift.learn.export.bundle import BundlePlan, Trained, make_bundle

    plan = BundlePlan(
        name, version, calibration, test, tuple(train or ()), limit=limit, keep_people=not without_people
    )
    source = shipped(PredictionCard) if segmenter == Path("default") else segmenter
    _print_metrics(make_bundle(Trained.from_runs(regressor, source, licence), plan, out))


@app.command()
def recalibrate(
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle whose weights are kept.")],
    calibration: Calibration,
    test: Test,
    out: BundleOut,
    version: Annotated[str, typer.Option(help="Version of the new bundle.")],
    train: opt.Baselines = None,
    limit: Limit = None,
) -> None:
    """Make a bundle of the weights of another one: new gains, intervals and figures, no training."""
    opt.require_extra("train")
    from spinelift.bundle import PredictionCard, load_bundle
    from spinelift.learn.export.bundle import BundlePlan, Trained, make_bundle

    name = load_bundle(PredictionCard, bundle).ref.name
    plan = BundlePlan(name, version, calibration, test, tuple(train or ()), limit=limit)
    _print_metrics(make_bundle(Trained.from_bundle(bundle), plan, out))


def _print_metrics(card: "Card") -> None:
    for metric in card.metrics:
        typer.echo(
            f"{metric.name:32} {metric.value:8.3f} {metric.unit:3} {metric.interval95} {metric.baselines}"
        )


@app.command("mri-segmenter")
@opt.with_options
def mri_segmenter(
    cohort: Annotated[
        Path, typer.Option(help="Folder with mri/ and truth/, or mri/ and labels/, to train on.")
    ],
    val: opt.ValCohort, out: opt.Out, run: opt.RunOptions, config: opt.ConfigPath = "mri_segmenter.yaml",
    label_scheme: Annotated[
        str, typer.Option(help="Labelling of the NIfTI maps in labels/: vibesegmentator, …")
    ] = "",
) -> None:  # fmt: skip
    """Train the networks that segment the spine in a Dixon MRI, and test them on held-out people.

    Both folders hold Dixon zips in mri/. Their true spines are the truth of simulated people in truth/, or,
    with --label-scheme, label maps in labels/: NIfTI files whose names begin with <eid>_<instance>.

    [bold]Examples[/bold]

    Simulated people:
    [cyan]spinelift train mri-segmenter --cohort people --val others --out runs/mri[/cyan]

    Label maps of another tool:
    [cyan]spinelift train mri-segmenter --cohort a --val b --label-scheme spineps-vert --out runs/mri[/cyan]
    """
    opt.require_extra("train")
    from spinelift.bundle import MriSegmenterCard, add_metrics
    from spinelift.io.nifti.labels import LabelScheme
    from spinelift.learn.mri_segmenter.config import MriSegmenterConfig
    from spinelift.learn.mri_segmenter.data import count_text, load_people
    from spinelift.learn.mri_segmenter.evaluate import card_metrics, evaluate_segmenter
    from spinelift.learn.mri_segmenter.reference import find_examples
    from spinelift.learn.mri_segmenter.train import train_mri_segmenter

    chosen = MriSegmenterConfig.load(config).override(run.changes())
    scheme = LabelScheme.named(label_scheme, "--label-scheme") if label_scheme else None
    examples = {"train": find_examples(cohort, scheme), "val": find_examples(val, scheme)}
    people = {}
    for name, found in examples.items():
        with progress(f"reading {name}", len(found)) as advance:
            cache = out / "cache" / (label_scheme or "truth") / name
            people[name], refused = load_people(found, cache, advance=advance)
        if refused:
            typer.echo(f"{name}: {refused.total()} MRI cannot be used: {count_text(refused)}", err=True)
    outcome = train_mri_segmenter(
        chosen, people=people["train"], held_out=people["val"], source=[cohort],
        labels=label_scheme or "truth of simulated people", out=out, resume=run.resume,
    )  # fmt: skip
    metrics = evaluate_segmenter(examples["val"], out)
    add_metrics(MriSegmenterCard, out, card_metrics(metrics, val.name))
    opt.print_outcome(outcome, out)
    for name, value in metrics.items():
        typer.echo(f"{name:28} {value}")


@app.command()
@opt.with_options
def aligner(
    cohort: opt.Cohort, val: opt.ValCohort, out: opt.Out, run: opt.RunOptions,
    config: opt.ConfigPath = "align.yaml",
) -> None:  # fmt: skip
    """Train the encoders of image-level registration, for `spinelift align --encoders`.

    Real and simulated archives can be used: no labels are needed, only pairs of one person. Images are
    cached in the folder of the run.

    [bold]Example[/bold]: spinelift train aligner --cohort people --val others --out runs/aligner
    """
    opt.require_extra("train")
    from spinelift.io.visits import paired_visits
    from spinelift.learn.aligner.config import AlignerConfig
    from spinelift.learn.aligner.pairs import load_cohort_pairs, save_pairs
    from spinelift.learn.aligner.train import train_aligner

    chosen = AlignerConfig.load(config).override(run.changes())
    files: list[Path] = []
    for folder in (*cohort, val):
        cache = out / "cache" / f"{len(files)}-{folder.name}"
        with progress(f"reading {folder.name}", len(paired_visits(folder))) as advance:
            pairs = load_cohort_pairs(folder, cache, advance=advance)
        path = out / "cache" / f"{cache.name}.npz"
        files.append(save_pairs(path, [(p.dxa, p.mri) for p in pairs], chosen.canvas))
    outcome = train_aligner(chosen, data=files[:-1], validation=files[-1], out=out, resume=run.resume)
    opt.print_outcome(outcome, out)


@app.command("pseudo-labels")
@opt.with_options
def pseudo_labels(
    scans: Annotated[list[Path], typer.Option(help="Scans to label: stores, or folders of DXA archives.")],
    out: Annotated[Path, typer.Option(help="Folder of the loop; masks to correct are put in review/.")],
    run: opt.RunOptions,
    labelled: Annotated[Path | None, typer.Option(help="Labelled store; without it, label by hand.")] = None,
    val: Annotated[Path | None, typer.Option(help="Labelled store, else a fifth of the labelled.")] = None,
    config: opt.ConfigPath = "pseudo_labels.yaml",
    rounds: Annotated[int | None, typer.Option(min=1, help="Largest number of rounds.")] = None,
) -> None:
    """Label many DXA scans from a few labelled ones, in rounds.

    A round trains on the labelled scans, labels the others, accepts confident labels, and puts uncertain
    ones in review/ for correction by hand. `--resume` continues with the corrected masks. The time budget
    is that of the training of one round.

    [bold]Example[/bold]: spinelift train pseudo-labels --scans archives --labelled few.zarr --out runs/loop
    """
    opt.require_extra("train")
    from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
    from spinelift.learn.pseudo_labels.rounds import REVIEW, LoopData, run_loop
    from spinelift.learn.pseudo_labels.scan_list import is_store, store_archives

    chosen = PseudoLabelConfig.load(config)
    segmenter = chosen.segmenter.override(run.changes())
    chosen = chosen.model_copy(update={"segmenter": segmenter, "rounds": rounds or chosen.rounds})
    if not all(map(is_store, scans)):
        with progress("reading scans", None) as advance:
            stored = store_archives(scans, out / "scans", advance=advance)
        typer.echo(f"{stored.read} scans read, {stored.failed} failed (scans/failed.csv)", err=True)
        scans = [stored.path]
    outcome = run_loop(chosen, LoopData.load(scans, labelled, val), out, resume=run.resume)
    for row in outcome.rounds:
        typer.echo("  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    for problem in outcome.problems:
        typer.echo(f"cannot be used: {problem}", err=True)
    typer.echo(f"Stopped: {outcome.stopped}. Network: {outcome.run or 'none yet'}")
    if outcome.waiting:
        typer.echo(f"{outcome.waiting} masks to correct in {out / REVIEW}: see README.txt there.")
