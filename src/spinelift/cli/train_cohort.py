"""``spinelift train mri-segmenter``, ``aligner`` and ``pseudo-labels``: networks that build a cohort."""

from pathlib import Path
from typing import Annotated

import typer

from spinelift.cli.options import (
    Cohort,
    ConfigPath,
    InitFrom,
    Minutes,
    Out,
    Resume,
    Threads,
    ValCohort,
    print_outcome,
    require_extra,
)


def mri_segmenter(
    cohort: Annotated[Path, typer.Option(help="Simulated cohort to train on, with folders mri/ and truth/.")],
    val: ValCohort,
    out: Out,
    config: ConfigPath = "mri_segmenter.yaml",
    resume: Resume = False,
    max_minutes: Minutes = None,
    threads: Threads = None,
    init_from: InitFrom = None,
) -> None:
    """Train the networks that segment the spine in a Dixon MRI, and test them on held-out people.

    [bold]Example[/bold]: spinelift train mri-segmenter --cohort people --val others --out runs/mri
    """
    require_extra("train")
    from spinelift.learn.mri_segmenter.config import MriSegmenterConfig
    from spinelift.learn.mri_segmenter.data import load_people
    from spinelift.learn.mri_segmenter.evaluate import evaluate_cohort
    from spinelift.learn.mri_segmenter.train import train_mri_segmenter, write_card
    from spinelift.progress import progress

    chosen = MriSegmenterConfig.load(config)
    chosen = chosen.override(max_minutes=max_minutes, threads=threads, init_from=init_from)
    people = []
    for folder, name in ((cohort, "train"), (val, "val")):
        with progress(f"reading {folder.name}", len(list((folder / "truth").glob("*.json")))) as advance:
            people.append(load_people(folder, out / "cache" / name, advance=advance))
    outcome = train_mri_segmenter(
        chosen, people=people[0], held_out=people[1], source=[cohort], out=out, resume=resume
    )
    metrics = evaluate_cohort(val, out)
    write_card(out, people=len(people[0]), metrics=metrics)
    print_outcome(outcome, out)
    for name, value in metrics.items():
        typer.echo(f"{name:28} {value}")


def aligner(
    cohort: Cohort,
    val: ValCohort,
    out: Out,
    config: ConfigPath = "align.yaml",
    resume: Resume = False,
    max_minutes: Minutes = None,
    threads: Threads = None,
    init_from: InitFrom = None,
) -> None:
    """Train the encoders of image-level registration, for `spinelift align --encoders`.

    Real and simulated archives can be used: no labels are needed, only pairs of one person. Images are
    cached in the folder of the run.

    [bold]Example[/bold]: spinelift train aligner --cohort people --val others --out runs/aligner
    """
    require_extra("train")
    from spinelift.learn.aligner.cohort_images import load_cohort_pairs, visit_files
    from spinelift.learn.aligner.config import AlignerConfig
    from spinelift.learn.aligner.pairs import save_pairs
    from spinelift.learn.aligner.train import train_aligner
    from spinelift.progress import progress

    chosen = AlignerConfig.load(config)
    chosen = chosen.override(max_minutes=max_minutes, threads=threads, init_from=init_from)
    files: list[Path] = []
    for folder in (*cohort, val):
        cache = out / "cache" / f"{len(files)}-{folder.name}"
        with progress(f"reading {folder.name}", len(visit_files(folder))) as advance:
            pairs = load_cohort_pairs(folder, cache, advance=advance)
        path = out / "cache" / f"{cache.name}.npz"
        files.append(save_pairs(path, [(p.dxa, p.mri) for p in pairs], chosen.canvas))
    print_outcome(train_aligner(chosen, data=files[:-1], validation=files[-1], out=out, resume=resume), out)


def pseudo_labels(
    scans: Annotated[
        list[Path],
        typer.Option(help="Scans to label: stores, or folders of DXA archives.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the loop; masks to correct are put in review/.")],
    labelled: Annotated[
        Path | None,
        typer.Option(help="Store of labelled scans.", show_default="the first ones are labelled by hand"),
    ] = None,
    val: Annotated[
        Path | None,
        typer.Option(help="Labelled store to validate on.", show_default="a fifth of those labelled by hand"),
    ] = None,
    config: ConfigPath = "pseudo_labels.yaml",
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="Largest number of rounds.", show_default="that of the configuration"),
    ] = None,
    resume: Resume = False,
    max_minutes: Minutes = None,
    threads: Threads = None,
) -> None:
    """Label many DXA scans from a few labelled ones, in rounds.

    A round trains on the labelled scans, labels the others, accepts confident labels, and puts uncertain
    ones in review/ for correction by hand. `--resume` continues with the corrected masks. The time budget
    is that of the training of one round.

    [bold]Example[/bold]: spinelift train pseudo-labels --scans archives --labelled few.zarr --out runs/loop
    """
    require_extra("train")
    from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
    from spinelift.learn.pseudo_labels.rounds import REVIEW, LoopData, run_loop
    from spinelift.learn.pseudo_labels.scan_list import is_store, store_archives
    from spinelift.progress import progress

    chosen = PseudoLabelConfig.load(config)
    segmenter = chosen.segmenter.override(max_minutes=max_minutes, threads=threads)
    chosen = chosen.model_copy(update={"segmenter": segmenter, "rounds": rounds or chosen.rounds})
    if not all(map(is_store, scans)):
        with progress("reading scans", None) as advance:
            stored = store_archives(scans, out / "scans", advance=advance)
        typer.echo(f"{stored.read} scans read, {stored.failed} failed (scans/failed.csv)", err=True)
        scans = [stored.path]
    outcome = run_loop(chosen, LoopData.load(scans, labelled, val), out, resume=resume)
    for row in outcome.rounds:
        typer.echo("  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    for problem in outcome.problems:
        typer.echo(f"cannot be used: {problem}", err=True)
    typer.echo(f"Stopped: {outcome.stopped}. Network: {outcome.run or 'none yet'}")
    if outcome.waiting:
        typer.echo(f"{outcome.waiting} masks to correct in {out / REVIEW}: see README.txt there.")
