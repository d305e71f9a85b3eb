"""``spinelift train pseudo-labels`` and ``spinelift train aligner``: what the paired cohort is made with."""

from pathlib import Path
from typing import Annotated

import typer


def pseudo_labels(
    scans: Annotated[
        list[Path],
        typer.Option(help="Scans to label: stores, or one folder of DXA archives.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the loop; masks to correct go to review/.")],
    labelled: Annotated[
        Path | None,
        typer.Option(help="Store of labelled scans.", show_default="a person paints the first ones"),
    ] = None,
    val: Annotated[
        Path | None,
        typer.Option(help="Labelled store to measure on.", show_default="a fifth of those labelled by hand"),
    ] = None,
    config: Annotated[
        str, typer.Option(help="YAML file, or the name of one in the package.")
    ] = "pseudo_labels.yaml",
    rounds: Annotated[
        int | None, typer.Option(min=1, help="At most so many, not the configuration's.")
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Training of a round.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on, with the masks that were corrected.")
    ] = False,
) -> None:
    """Let a few labelled DXA scans label many: train, accept what is sure, show a person what is not, again.

    [bold]Example[/bold]: spinelift train pseudo-labels --scans archives --labelled few.zarr --out runs/loop
    """
    from spinelift.cli.extras import require_extra
    from spinelift.cli.options import override

    require_extra("train")
    from spinelift.cli.progress import progress
    from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
    from spinelift.learn.pseudo_labels.rounds import REVIEW, LoopData, run_loop
    from spinelift.learn.pseudo_labels.scan_list import is_store, store_archives

    chosen = PseudoLabelConfig.load(config)
    segmenter = chosen.segmenter
    segmenter = segmenter.model_copy(update={"loop": override(segmenter.loop, max_minutes, threads)})
    chosen = chosen.model_copy(update={"segmenter": segmenter, "rounds": rounds or chosen.rounds})
    if not all(map(is_store, scans)):
        with progress("reading scans", 0) as tick:
            stored = store_archives(scans, out / "scans", tick=tick)
        typer.echo(f"{stored.read} scans read, {stored.failed} failed (scans/failed.csv)", err=True)
        scans = [stored.path]
    outcome = run_loop(chosen, LoopData.load(scans, labelled, val), out, resume=resume)
    for row in outcome.rounds:
        typer.echo("  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    for problem in outcome.problems:
        typer.echo(f"cannot be used: {problem}", err=True)
    typer.echo(f"Ended: {outcome.stopped}. Network: {outcome.run or 'none yet'}")
    if outcome.waiting:
        typer.echo(f"{outcome.waiting} masks wait for a person in {out / REVIEW}: see README.txt there.")


def aligner(
    cohort: Annotated[list[Path], typer.Option(help="Cohort to train on: archives in dxa/ and mri/.")],
    val: Annotated[Path, typer.Option(help="Another one, of other people, to measure on.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; images that were read are kept in cache/.")],
    config: Annotated[str, typer.Option(help="YAML file, or the name of one in the package.")] = "align.yaml",
    max_minutes: Annotated[float | None, typer.Option(help="Time budget of the training.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's checkpoint.")] = False,
) -> None:
    """Train the encoders of stage 1, by which `spinelift align --encoders` lays an MRI on a DXA.

    Real archives and simulated ones alike: no labels are needed, only that both are of one person.

    [bold]Example[/bold]: spinelift train aligner --cohort people --val others --out runs/aligner
    """
    from spinelift.cli.extras import require_extra
    from spinelift.cli.options import override

    require_extra("train")
    from spinelift.cli.progress import progress
    from spinelift.io.visits import paired_visits
    from spinelift.learn.aligner.cohort_images import load_cohort_pairs
    from spinelift.learn.aligner.config import AlignerConfig
    from spinelift.learn.aligner.pairs import save_pairs
    from spinelift.learn.aligner.train import train_aligner

    chosen = AlignerConfig.load(config)
    chosen = chosen.model_copy(update={"loop": override(chosen.loop, max_minutes, threads)})
    files: list[Path] = []
    for folder in (*cohort, val):
        cache = out / "cache" / f"{len(files)}-{folder.name}"
        with progress(f"reading {folder.name}", len(paired_visits(folder))) as tick:
            pairs = load_cohort_pairs(folder, cache, tick=tick)
        path = out / "cache" / f"{cache.name}.npz"
        files.append(save_pairs(path, [(p.dxa, p.mri) for p in pairs], chosen.canvas))
    outcome = train_aligner(chosen, data=files[:-1], validation=files[-1], out=out, resume=resume)
    typer.echo(f"{outcome.steps} steps in {outcome.seconds / 60:.1f} min: {outcome.validation} → {out}")
