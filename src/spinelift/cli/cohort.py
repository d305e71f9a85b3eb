"""``spinelift cohort``: aligned training pairs from archives of DXA and MRI."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from spinelift.align import MIN_OVERLAP
from spinelift.cli.options import (
    Encoders,
    IgnoreIdentity,
    MinIou,
    MriNetworks,
    Scheduler,
    command_group,
    require_extra,
)
from spinelift.errors import PARTIAL_FAILURE_EXIT_CODE, ConfigError
from spinelift.files import write_json
from spinelift.progress import progress

if TYPE_CHECKING:
    import polars as pl

app = command_group("Build and inspect a training store of DXA and MRI pairs.")
Store = Annotated[Path, typer.Argument(help="A store made by `cohort build`.")]


@app.command()
def build(
    dxa: Annotated[Path, typer.Option(help="Folder of <eid>_20158_<instance>_<array>.zip.")],
    mri: Annotated[Path, typer.Option(help="Folder of <eid>_20201_<instance>_<array>.zip.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The store; an existing one is continued.")],
    workers: Annotated[int, typer.Option(help="Number of local processes, about 1.5 GB each.", min=1)] = 1,
    scheduler: Scheduler = None,
    bundle: Annotated[Path | None, typer.Option(help="Model bundle that segments the DXA.")] = None,
    mri_networks: MriNetworks = None,
    encoders: Encoders = None,
    mri_labels: Annotated[
        Path | None, typer.Option(help="Folder of NIfTI labels instead of networks.")
    ] = None,
    mri_label_scheme: Annotated[str, typer.Option(help="Numbering of the labels: vibesegmentator, …")] = "",
    min_iou: MinIou = MIN_OVERLAP,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Retry failed visits.")] = False,
    withdrawn: Annotated[
        Path | None, typer.Option(help="UK Biobank's list of people who withdrew: they are removed.")
    ] = None,
    remove_missing: Annotated[
        bool, typer.Option("--remove-missing", help="Allow that many visits left the folders.")
    ] = False,
    ignore_identity: IgnoreIdentity = False,
    memory: Annotated[str, typer.Option(help="Memory limit of a local process.")] = "4GiB",
) -> None:
    """Pair, segment, align and filter archives, and write a training store with its manifest.

    Resumable: stop it at any time and run the same command again. New archives in the folders are added, and
    visits whose archives are no longer there are removed. A visit that fails is a row of the manifest and
    does not stop the run.

    [bold]Example[/bold]: spinelift cohort build --dxa people/dxa --mri people/mri --out store --workers 2
    """
    require_extra("cohort")
    from spinelift.align.onnx import NO_ENCODERS
    from spinelift.cohort.build import Plan
    from spinelift.cohort.build import build as run_build
    from spinelift.cohort.stages import Settings
    from spinelift.io.nifti.labels import LabelScheme

    if mri_label_scheme:
        LabelScheme.named(mri_label_scheme, "--mri-label-scheme")
    settings = Settings(
        bundle=_resolved(bundle), mri_networks=_resolved(mri_networks), label_scheme=mri_label_scheme,
        min_iou=min_iou, encoders=encoders if encoders == NO_ENCODERS else _resolved(encoders),
        ignore_identity=ignore_identity,
    )  # fmt: skip
    plan = Plan(
        dxa, mri, out, mri_labels, settings,
        workers=workers, scheduler=scheduler, memory=memory, retry_failed=retry_failed,
        withdrawn=withdrawn, remove_missing=remove_missing,
    )  # fmt: skip
    manifest = run_build(plan, progress=progress, log=lambda text: typer.echo(text, err=True))
    _print_counts(manifest)
    if (manifest["status"] == "failed").any():
        typer.echo(f"causes: spinelift cohort status {out}", err=True)
        raise typer.Exit(PARTIAL_FAILURE_EXIT_CODE)


def _resolved(path: Path | str | None) -> str | None:
    return None if path is None else str(Path(path).resolve())


def _print_counts(manifest: "pl.DataFrame") -> None:
    from spinelift.cohort.aggregates import counts
    from spinelift.cohort.match import match_summary

    c = counts(manifest)
    typer.echo(
        f"{c['visits']} visits of {c['people']} people: {c['done']} kept, {c['rejected']} rejected, "
        f"{c['failed']} failed"
    )
    if summary := match_summary(manifest):
        typer.echo(summary)


@app.command()
def status(store: Store) -> None:
    """Show counts by stage, failures by cause, and progress and time left of a running build."""
    require_extra("cohort")

    from spinelift.cohort.aggregates import counts
    from spinelift.cohort.manifest import MANIFEST, read_manifest
    from spinelift.cohort.status import read_state

    if state := read_state(store):
        for line in state.lines():
            typer.echo(line)
        if not (store / MANIFEST).is_file():
            return
        typer.echo("the build before:")
    manifest = read_manifest(store)
    _print_counts(manifest)
    c = counts(manifest)
    for title in ("stages", "failures", "splits"):
        if rows := c[title]:
            table = Table(*rows[0], title=title)
            for row in rows:
                table.add_row(*(str(v) for v in row.values()))
            Console().print(table)


@app.command()
def report(
    store: Store,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file [STORE/report.html].")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Folder truth/ of simulated people to compare with.")
    ] = None,
) -> None:
    """Write an HTML page: counts and causes, who is excluded, histograms, overlays, times.

    With --truth, also how well flaws of the MRIs were found, and the errors of alignment and curves.

    [bold]Examples[/bold]

    [cyan]spinelift cohort report store[/cyan]

    [cyan]spinelift cohort report store --truth people/truth -o report.html[/cyan]
    """
    require_extra("cohort")
    from spinelift.cohort.aggregates import outcomes, share
    from spinelift.cohort.manifest import read_manifest
    from spinelift.cohort.report import write_report
    from spinelift.cohort.truth import judge

    manifest = read_manifest(store)
    verdict = judge(store, manifest, truth) if truth else None
    path = out or store / "report.html"
    write_report(store, manifest, path, verdict)
    if verdict:
        document = verdict.to_json()
        write_json(store / "verdict.json", document)
        flaws = [
            (f["flaw"], share(f["found"], f["planted"]), share(f["false_alarms"], f["clean"]))
            for f in verdict.flaws
        ]
        _print_table("Flaws of the MRI", ("flaw", "found of planted", "false alarms"), flaws)
        errors = [
            (e["name"], e["n"], f"{e['mean']:.2f} {e['unit']}", f"{e['p95']:.2f} {e['unit']}")
            for e in document["errors"]
            if e["n"]
        ]
        _print_table("Errors", ("error", "visits", "mean", "95th percentile"), errors)
        _print_outcomes("Pairs by the true transform", "pairs", verdict.filtered)
    _print_outcomes(
        "By the Ferguson angle of the DXA", "angle", {row["severity"]: row for row in outcomes(manifest)}
    )
    typer.echo(path)


def _print_outcomes(title: str, kind: str, table: "dict[str, dict[str, int]]") -> None:
    """Print how many visits of each kind were kept, rejected and failed, of how many."""
    from spinelift.cohort.record import STATUSES

    rows = []
    for name, row in table.items():
        numbers = [row[status] for status in STATUSES]
        shares = [f"{n} ({100 * n / sum(numbers):.0f} %)" if n else "0" for n in numbers]
        rows.append((name, sum(numbers), *shares))
    _print_table(title, (kind, "visits", "kept", "rejected", "failed"), rows)


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    table = Table(title=title, title_justify="left")
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left")
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)


@app.command()
def export(
    store: Store,
    out: Annotated[Path, typer.Option("--out", "-o", help="Output: a JSON file, or the folder of a store.")],
    aggregates_only: Annotated[
        bool, typer.Option("--aggregates-only", help="Counts and histograms alone, of 5 people or more.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="Pairs of one split: train, val or test.")] = None,
    min_pair_match: Annotated[
        float, typer.Option(min=0, max=1, help="With --split: least pair_match of a pair, such as 0.95.")
    ] = 0.0,
    folds: Annotated[
        str | None, typer.Option(help="Only these folds of the split, such as 1-4.", show_default="all")
    ] = None,
) -> None:
    """Write aggregates that may leave the platform, or the pairs of one split.

    People to calibrate on are a fold of the training people that no network was trained on.

    [bold]Example[/bold]: spinelift cohort export store --split train --folds 1-4 -o train.zarr
    """
    require_extra("cohort")
    from spinelift.cohort.aggregates import aggregates
    from spinelift.cohort.export import export_split
    from spinelift.cohort.manifest import read_manifest
    from spinelift.cohort.splits import SHARES, parse_folds

    if aggregates_only == bool(split) or (split and split not in SHARES) or (folds and not split):
        raise ConfigError(
            found="neither or both of --aggregates-only and --split, an unknown split, or folds without one",
            expected=f"--aggregates-only, or --split {', '.join(SHARES)}",
            do="Give one of them.",
        )
    if split:
        chosen = parse_folds(folds) if folds else None
        count = export_split(store, split, out, chosen, min_match=min_pair_match)
        typer.echo(f"{count} pairs → {out}")
        return
    write_json(out, aggregates(read_manifest(store), store))
    typer.echo(out)
