"""``spinelift evaluate``: metrics of a bundle beside its baselines."""

from pathlib import Path
from typing import Annotated

import typer

from spinelift.cli.options import Baselines, Bundle, command_group, read_list, require_extra
from spinelift.errors import PARTIAL_FAILURE_EXIT_CODE, ConfigError
from spinelift.files import write_json, write_whole
from spinelift.progress import progress

app = command_group("Measure a model against the truth.")


@app.command()
def model(
    test: Annotated[Path, typer.Option(help="Pair store of people who are not in training.")],
    bundle: Bundle = None,
    train: Baselines = None,
    limit: Annotated[int | None, typer.Option(help="Largest number of people of each store.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table to this file too (.json or .md).")] = None,
    iou_step_mm: Annotated[float, typer.Option(help="Grid of the 3D IoU; 0 leaves it out.")] = 1.0,
) -> None:
    """Print every metric with its 95 % interval, for the regressor on crops at their true position."""
    require_extra("train")
    from spinelift.bundle import PredictionCard, load_bundle
    from spinelift.evaluate.pairs import evaluate_pairs
    from spinelift.evaluate.people import hash_people, refuse_seen
    from spinelift.evaluate.table import to_markdown
    from spinelift.inference.calibrate import Calibrator
    from spinelift.store.rows import load_pairs

    loaded = load_bundle(PredictionCard, bundle)
    pairs, others = load_pairs([test], limit=limit), load_pairs(train, limit=limit) if train else None
    refuse_seen(pairs.eid, loaded.people, "training and test")
    if others is not None:
        refuse_seen(pairs.eid, hash_people(others.eid), "the baselines' store and test")
    network, factors = loaded.network("regressor"), Calibrator(loaded.card.calibration).factors
    rows = evaluate_pairs(network, pairs, others, factors=factors, iou_step_mm=iou_step_mm or None)
    text = to_markdown(rows)
    typer.echo(f"{loaded.ref.name} {loaded.ref.version} on {test.name}\n\n{text}")
    if out is not None and out.suffix == ".json":
        write_json(out, [row.to_json() for row in rows])
    elif out is not None:
        write_whole(out, text + "\n")


@app.command()
def lva(
    scans: Annotated[
        list[Path] | None, typer.Argument(metavar="SCAN...", help="DXA zips, or folders of them.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = Path("lva-results"),
    listed: Annotated[
        str | None,
        typer.Option("--list", metavar="FILE", help="Text file with one SCAN a line; - for standard input."),
    ] = None,
    bundle: Bundle = None,
    lva_network: Annotated[
        Path | None, typer.Option(help="Run or folder of an LVA network.", show_default="shipped")
    ] = None,
    orientation: Annotated[
        str | None,
        typer.Option(
            metavar="COL,ROW", help="Where columns and rows of the LVA images lead: P,F or A,F.",
            show_default="PatientOrientation",
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="truth/ of simulated people: their true curves are compared too.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: this one.")] = 0,
) -> None:  # fmt: skip
    """Compare predicted side views with the lateral vertebral view (LVA) in the same zip.

    The person lies on the back in one image and on the side in the other: what is compared is the shape from
    T5 to L4 after a rigid alignment, beside the mean curve with the same alignment. Inclination cannot be
    compared.

    Writes lva.csv (a row a scan, with the cause if it failed), lva.json, lva.md, and best.png, median.png and
    worst.png. Rows and pictures are individual-level data.

    [bold]Example[/bold]: spinelift evaluate lva /data/20158 --workers 8 --out lva
    """
    from spinelift.evaluate.lva import LvaCheck, LvaJob, check_scans
    from spinelift.evaluate.lva_files import write_results
    from spinelift.evaluate.table import to_markdown
    from spinelift.io.dxa.discover import find_scans

    given = [*(scans or []), *([] if listed is None else read_list(listed))]
    if not given:
        raise typer.BadParameter("give scans, or a list of them with --list", param_hint="SCAN")
    bundle_name, network = (None if path is None else str(path) for path in (bundle, lva_network))
    job = LvaJob(bundle_name, network, None if orientation is None else _letters(orientation), truth)
    job.check()
    paths = find_scans(given)
    checks: list[LvaCheck] = []
    with progress("scans", len(paths)) as advance:
        for check in check_scans(job, paths, workers=workers):
            checks.append(check)
            advance(1)
    rows = write_results(job, checks, out)
    failed = sum(not check.aligned for check in checks)
    typer.echo(f"{len(checks) - failed} of {len(checks)} scans compared: {out / 'lva.csv'}")
    if rows:
        typer.echo(f"\n{to_markdown(rows)}")
    if failed:
        raise typer.Exit(PARTIAL_FAILURE_EXIT_CODE)


def _letters(text: str) -> tuple[str, str]:
    """Orientation from ``COL,ROW``."""
    parts = [part.strip().upper() for part in text.split(",")]
    if len(parts) != 2 or {len({*parts} & {*pair}) for pair in ("PA", "FH")} != {1}:
        expected = "one of A, P and one of F, H, such as P,F"
        raise ConfigError(found=f"--orientation {text}", expected=expected, do="Give two letters.")
    return parts[0], parts[1]
