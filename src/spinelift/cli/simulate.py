"""``spinelift simulate``: people who do not exist, as the files of real archives."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Simulate people: archives with their truth, training stores.", no_args_is_help=True)

People = Annotated[int, typer.Option(min=1, help="How many people.")]
Seed = Annotated[
    int, typer.Option(min=0, help="Other people with another seed; the same ones with the same.")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes side by side.")]


@app.command()
def dxa(
    out: Annotated[Path, typer.Option(help="Folder: archives go to dxa/, the truth to truth/.")],
    people: People = 10,
    seed: Seed = 0,
    workers: Workers = 1,
    first: Annotated[int, typer.Option(min=0, help="Number of the first person.")] = 0,
) -> None:
    """Write `<eid>_20158_2_0.zip` archives of whole-body DXA, and the truth beside them.

    Resumable: people who are complete are not made again.

    [bold]Example[/bold]: spinelift simulate dxa --people 20 --out people --seed 7 --workers 2
    """
    from spinelift.cli.progress import progress
    from spinelift.simulate.people import write_people

    with progress("people", people) as tick:
        write_people(out, people=people, seed=seed, workers=workers, first=first, tick=tick)
    typer.echo(f"{people} people in {out / 'dxa'}, their truth in {out / 'truth'}")


@app.command()
def cohort(
    out: Annotated[Path, typer.Option(help="Folder: archives go to dxa/ and mri/, the truth to truth/.")],
    people: People = 60,
    seed: Seed = 0,
    workers: Workers = 1,
    traps: Annotated[float, typer.Option(min=0, max=1, help="Share of people with a flaw in the MRI.")] = 0.2,
    first: Annotated[int, typer.Option(min=0, help="Number of the first person.")] = 0,
) -> None:
    """Write pairs of archives, whole-body DXA and neck-to-knee Dixon MRI, and the truth beside them.

    Resumable: people who are complete are not made again.

    [bold]Example[/bold]: spinelift simulate cohort --people 60 --out people --seed 7 --workers 2
    """
    from spinelift.cli.progress import progress
    from spinelift.simulate.cohort import write_cohort

    with progress("people", people) as tick:
        write_cohort(out, people=people, seed=seed, workers=workers, trap_share=traps, first=first, tick=tick)
    typer.echo(f"{people} people in {out / 'dxa'} and {out / 'mri'}, their truth in {out / 'truth'}")


@app.command()
def training(
    out: Annotated[Path, typer.Option(help="Path of the store, such as runs/train.zarr.")],
    people: People = 1000,
    seed: Seed = 0,
    workers: Workers = 1,
    whole_body: Annotated[
        bool, typer.Option("--whole-body", help="Whole bodies with masks for the segmenter, not crops.")
    ] = False,
    other: Annotated[
        bool, typer.Option("--other", help="People and scanners unlike those of training: to calibrate on.")
    ] = False,
) -> None:
    """Write a training store (Zarr) straight from the simulator: crops and curves, or scans and masks.

    Resumable: a store with fewer people grows to the number asked for.
    """
    from spinelift.cli.extras import require_extra
    from spinelift.cli.progress import progress

    require_extra("train")
    from spinelift.files import make_folder
    from spinelift.simulate.stores import fill_pairs, fill_scans
    from spinelift.store.rows import PairStore, ScanStore

    about = {"simulator": "spinelift", "seed": seed, "other": other}
    make_folder(out.parent)
    if whole_body:
        scans = ScanStore.open_or_create(out, about=about)
        with progress("scans", people - len(scans)) as tick:
            fill_scans(scans, people=people, seed=seed, workers=workers, tick=tick)
    else:
        pairs = PairStore.open_or_create(out, about=about)
        with progress("people", people - len(pairs)) as tick:
            fill_pairs(pairs, people=people, seed=seed, workers=workers, tick=tick, other=other)


@app.command("fit-prior")
def fit_prior(
    table: Annotated[Path, typer.Argument(help="CSV: spine_id, level, x_mm, y_mm, z_mm (LPS).")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    keep_complete: Annotated[
        bool, typer.Option("--keep-complete", help="Use complete T1-L5 spines too, which evaluation needs.")
    ] = False,
) -> None:
    """Fit the shape prior to vertebral-body centres (probabilistic PCA with missing data)."""
    from spinelift.simulate.body.prior import fit_table

    _, used = fit_table(table, out, keep_complete=keep_complete)
    typer.echo(f"fitted to {used} spines → {out}")
