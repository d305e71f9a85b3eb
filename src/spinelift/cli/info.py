"""``spinelift info``: what a set of networks is, and how good."""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spinelift.bundle import Card
    from spinelift.bundle.card import Metric

app = typer.Typer(add_completion=False)


@app.command()
def info(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="Set of networks of any kind: folder or zip.", show_default="shipped"),
    ] = None,
) -> None:
    """Print the card of a set of networks, after checking every hash.

    Name, version, limits, licence, training, and every metric with its 95 % bootstrap interval.
    """
    from spinelift.bundle import load_any

    loaded = load_any(bundle)
    typer.echo("\n".join(_lines(loaded.card, loaded.ref.sha256)))


def _lines(card: "Card", sha256: str) -> list[str]:
    """The card as text."""
    training = card.training
    lines = [
        f"{card.name} {card.version} ({card.kind})",
        f"created   {card.created}, spinelift {card.spinelift_version}",
        f"licence   {card.licence}",
        f"sha256    {sha256}",
        *(f"network   {n}: {net.architecture}, {net.parameters} weights" for n, net in card.networks.items()),
        f"training  {training.data}: {training.people} people, {_known(training.steps)} steps, "
        f"{_known(training.seconds)} s, seed {_known(training.seed)}",
        *(f"          {key}: {value}" for key, value in training.details.items()),
        *(f"limit     {limit}" for limit in card.limits),
    ]
    for dataset, metrics in groupby(card.metrics, key=lambda metric: metric.dataset):
        lines += ["", f"{dataset}: value, 95 % interval, unit, spines", *map(_row, metrics)]
    return lines


def _row(metric: "Metric") -> str:
    interval = "" if metric.interval95 is None else "{:.4g} to {:.4g}".format(*metric.interval95)
    return f"  {metric.name:<36} {metric.value:>9.4g}  {interval:<18} {metric.unit:<6} {metric.spines:>6}"


def _known(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.10g}"
