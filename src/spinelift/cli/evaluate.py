"""``spinelift evaluate``: metrics of a bundle beside its baselines."""

from pathlib import Path
from typing import Annotated

import typer

from spinelift.cli.options import Baselines, Bundle, command_group, require_extra
from spinelift.files import write_json, write_whole

app = command_group("Measure a model against the truth.")


@app.callback()
def group() -> None:
    """A group, though it has one command."""


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
