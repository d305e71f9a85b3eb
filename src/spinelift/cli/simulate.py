"""``spinelift simulate``: simulated people, as the files of real archives."""

from pathlib import Path
from typing import Annotated

import typer

from spinelift.cli import donors as donors_cli
from spinelift.cli.options import command_group, require_extra
from spinelift.errors import ConfigError
from spinelift.files import make_folder
from spinelift.progress import progress

app = command_group("Simulate people: archives with ground truth, training stores.")
app.add_typer(donors_cli.app, name="donors")

People = Annotated[int, typer.Option(min=1, help="Number of people.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed; the same seed gives the same people.")]
Workers = Annotated[int, typer.Option(min=1, help="Number of processes.")]
First = Annotated[int, typer.Option(min=0, help="Number of the first person.")]


@app.command()
def dxa(
    out: Annotated[Path, typer.Option(help="Output folder: dxa/, and ground truth in truth/.")],
    people: People = 10,
    seed: Seed = 0,
    workers: Workers = 1,
    first: First = 0,
) -> None:
    """Write archives `<eid>_20158_2_0.zip` of whole-body DXA, and their ground truth.

    Resumable: people who are complete are skipped.

    [bold]Example[/bold]: spinelift simulate dxa --people 20 --out people --seed 7 --workers 2
    """
    from spinelift.simulate.people import write_people

    with progress("people", people) as advance:
        write_people(out, people=people, seed=seed, workers=workers, first=first, advance=advance)
    typer.echo(f"{people} people in {out / 'dxa'}, ground truth in {out / 'truth'}")


@app.command()
def cohort(
    out: Annotated[Path, typer.Option(help="Output folder: dxa/, mri/, and ground truth in truth/.")],
    people: People = 60,
    seed: Seed = 0,
    workers: Workers = 1,
    traps: Annotated[float, typer.Option(min=0, max=1, help="Share of people with MRI defects.")] = 0.2,
    first: First = 0,
) -> None:
    """Write pairs of archives, whole-body DXA and neck-to-knee Dixon MRI, and their ground truth.

    Resumable: people who are complete are skipped.

    [bold]Example[/bold]: spinelift simulate cohort --people 60 --out people --seed 7 --workers 2
    """
    from spinelift.simulate.cohort import write_cohort

    settings = {"people": people, "seed": seed, "workers": workers, "first": first}
    with progress("people", people) as advance:
        write_cohort(out, **settings, trap_share=traps, advance=advance)
    typer.echo(f"{people} people in {out / 'dxa'} and {out / 'mri'}, ground truth in {out / 'truth'}")


@app.command()
def training(
    out: Annotated[Path, typer.Option(help="Path of the store, such as runs/train.zarr.")],
    people: People = 1000,
    seed: Seed = 0,
    workers: Workers = 1,
    whole_body: Annotated[bool, typer.Option("--whole-body", help="Whole bodies for the segmenter.")] = False,
    lateral: Annotated[bool, typer.Option("--lateral", help="Lateral views for the LVA network.")] = False,
    other: Annotated[bool, typer.Option("--other", help="People and scanners unlike training's.")] = False,
    donors: Annotated[
        list[Path] | None,
        typer.Option(help="Library of donors, added to the shipped one; can be given several times."),
    ] = None,
    without_donor: Annotated[
        list[str] | None, typer.Option(help="Donor to leave out; can be given several times.")
    ] = None,
    no_donors: Annotated[bool, typer.Option("--no-donors", help="The template's vertebrae alone.")] = False,
    no_blends: Annotated[bool, typer.Option("--no-blends", help="One donor at a time.")] = False,
    plain_bone: Annotated[
        bool, typer.Option("--plain-bone", help="Cortex of fixed thickness, not that of CTs.")
    ] = False,
    foreign_bodies: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of people in the body of another spine; 0.9 by default."),
    ] = None,
) -> None:
    """Write a training store (Zarr) from the simulator: crops and curves, scans and masks, or lateral
    views and masks.

    Resumable: a store with fewer people is extended.
    """
    require_extra("train")
    from spinelift.simulate.body.body import FOREIGN_SHARE
    from spinelift.simulate.donors.choice import Donors
    from spinelift.simulate.stores import fill_laterals, fill_pairs, fill_scans
    from spinelift.store.rows import LateralStore, PairStore, ScanStore

    if whole_body + lateral + other > 1:
        found = "several of --whole-body, --lateral and --other"
        raise ConfigError(found=found, expected="one kind of people", do="Give one of them.")
    if no_donors and (donors or without_donor):
        raise ConfigError(
            found="--no-donors beside --donors or --without-donor",
            expected="the template alone, or donors",
            do="Leave one of them out.",
        )
    chosen = Donors(
        tuple(donors or ()),
        tuple(without_donor or ()),
        shipped=not no_donors,
        blends=not no_blends,
        bone_map=not plain_bone,
    )
    about: dict[str, object] = {
        "simulator": "spinelift", "seed": seed, "other": other, "donors": list(chosen.load().people),
        "blends": chosen.blends, "bone_map": chosen.bone_map,
    }  # fmt: skip
    made = {"people": people, "seed": seed, "workers": workers}
    if foreign_bodies is not None and (whole_body or lateral or other):
        raise ConfigError(
            found="--foreign-bodies with --whole-body, --lateral or --other",
            expected="--foreign-bodies for crops and curves of training's people",
            do="Leave one of them out.",
        )
    make_folder(out.parent)
    if whole_body:
        scans = ScanStore.open_or_create(out, about=about)
        with progress("scans", people - len(scans)) as advance:
            fill_scans(scans, **made, advance=advance, donors=chosen)
    elif lateral:
        views = LateralStore.open_or_create(out, about=about)
        with progress("lateral views", people - len(views)) as advance:
            fill_laterals(views, **made, advance=advance, donors=chosen)
    else:
        foreign = FOREIGN_SHARE if foreign_bodies is None else foreign_bodies
        pairs = PairStore.open_or_create(out, about=about | ({} if other else {"foreign_bodies": foreign}))
        with progress("people", people - len(pairs)) as advance:
            fill_pairs(pairs, **made, advance=advance, other=other, foreign=foreign, donors=chosen)


@app.command("from-ct")
def from_ct(
    ct: Annotated[Path, typer.Option(help="Folder of CTs in NIfTI, searched with its subfolders.")],
    labels: Annotated[Path, typer.Option(help="Folder of their label maps, or the same folder.")],
    label_scheme: Annotated[str, typer.Option(help="Tool that numbered the vertebrae, such as verse.")],
    out: Annotated[Path, typer.Option(help="Path of the store, such as runs/ct.zarr.")],
    poses: Annotated[int, typer.Option(min=0, help="Other spines along which each person is posed.")] = 4,
    spines: Annotated[
        Path | None, typer.Option(help="CSV of centres, as of fit-prior.", show_default="the shape prior")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    workers: Workers = 1,
) -> None:
    """Write a training store (Zarr) from CTs of real people with labelled vertebrae.

    Each person is projected as a DXA: as they lie, and re-posed along other spines. Rows of the spine that
    the CT does not show are marked as unknown. Resumable: people in the store are skipped. People who failed
    are listed beside the store, in `<store>.failed.csv`.

    [bold]Example[/bold]: spinelift simulate from-ct --ct rawdata --labels derivatives --label-scheme verse
    --poses 8 --out runs/ct.zarr
    """
    require_extra("train")
    require_extra("mri")
    import numpy as np

    from spinelift.io.nifti.labels import LabelScheme
    from spinelift.simulate.ct.pairs import (
        Plan,
        complete_spines,
        failed_table,
        fill_from_ct,
        find_people,
        write_failed,
    )
    from spinelift.store.rows import PairStore

    scheme = LabelScheme.named(label_scheme, "--label-scheme")
    centres = None
    if spines is not None:
        centres = np.array(list(complete_spines(spines).values()))
        if not len(centres):
            found = f"no complete spine in {spines.name}"
            raise ConfigError(found=found, expected="centres of T1 to L5", do="Check --spines.")
    people = find_people(ct, labels)
    about = {"people": "CTs", "seed": seed, "poses": poses, "label_scheme": scheme.value}
    about |= {"spines": "shape prior" if spines is None else spines.name}
    make_folder(out.parent)
    pairs = PairStore.open_or_create(out, about=about, optional=True)
    plan = Plan(scheme, poses, seed, centres)
    with progress("people", len(people)) as advance:
        failed = fill_from_ct(pairs, people, plan, workers=workers, advance=advance)
    write_failed(out, failed)
    typer.echo(f"{len(pairs)} pairs of {len(people) - len(failed)} people → {out.name}")
    if failed:
        typer.echo(f"{len(failed)} people failed → {failed_table(out).name}")


@app.command("fit-prior")
def fit_prior(
    table: Annotated[Path, typer.Argument(help="CSV: spine_id, level, x_mm, y_mm, z_mm (LPS).")],
    out: Annotated[Path, typer.Option(help="Output file, JSON.")],
    keep_complete: Annotated[
        bool, typer.Option("--keep-complete", help="Also fit complete T1-L5 spines, meant for evaluation.")
    ] = False,
) -> None:
    """Fit the shape prior to vertebral-body centres, by probabilistic PCA with missing data."""
    from spinelift.simulate.body.prior import fit_table

    _, used = fit_table(table, out, keep_complete=keep_complete)
    typer.echo(f"fitted to {used} spines → {out}")
