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
    from spinelift.cli.train import override, require_train_extra

    require_train_extra()
    from spinelift.cli.progress import progress
    from spinelift.segment.pseudo_config import PseudoLabelConfig
    from spinelift.segment.pseudo_labels import REVIEW, LoopData, run_loop
    from spinelift.segment.scan_list import is_store, store_archives

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
