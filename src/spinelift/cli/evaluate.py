"""``spinelift evaluate``: a bundle's figures beside its baselines."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Measure a model against the truth.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Measure a model against the truth."""


@app.command()
def model(
    test: Annotated[Path, typer.Option(help="Pair store of people who were never trained on.")],
    bundle: Annotated[Path | None, typer.Option(help="Model bundle; without it the default one.")] = None,
    train: Annotated[
        list[Path] | None, typer.Option(help="Pair store that the baselines are fitted to.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many people of each store.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the table here (.json or .md).")] = None,
    iou_step_mm: Annotated[float, typer.Option(help="Grid of the 3D IoU; 0 leaves it out.")] = 1.0,
) -> None:
    """Print every figure with its 95 % interval, the regressor on crops at their true place."""
    from spinelift.cli.extras import require_extra

    require_extra("train")
    from spinelift.bundle import PredictionCard, load_bundle
    from spinelift.evaluate.pairs import evaluate_pairs
    from spinelift.evaluate.table import to_json, to_markdown
    from spinelift.files import write_json, write_whole
    from spinelift.inference.calibrate import Calibrator
    from spinelift.store.rows import load_pairs

    loaded = load_bundle(PredictionCard, bundle)
    rows = evaluate_pairs(
        loaded.network("regressor"),
        load_pairs([test], limit=limit),
        load_pairs(train, limit=limit) if train else None,
        factors=Calibrator(loaded.card.calibration).factors,
        iou_step_mm=iou_step_mm or None,
    )
    text = to_markdown(rows)
    typer.echo(f"{loaded.ref.name} {loaded.ref.version} on {test.name}\n\n{text}")
    if out is not None:
        write_json(out, to_json(rows)) if out.suffix == ".json" else write_whole(out, text + "\n")
