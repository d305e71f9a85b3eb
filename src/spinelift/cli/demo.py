"""``spinelift demo``: one simulated person, from the archive to the pictures, beside the truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spinelift.cli.options import Bundle

if TYPE_CHECKING:
    from spinelift.inference.model import Model
    from spinelift.inference.prediction import Prediction
    from spinelift.io.truth import SimulatedTruth

app = typer.Typer(add_completion=False)

DATA = Path(__file__).parents[1] / "demo"
"""The archive and the truth that come with the package."""
SHOWN = {
    "coronal_mae_mm": "coronal MAE, mm",
    "sagittal_mae_mm": "sagittal MAE, mm",
    "deviation3d_mm": "3D deviation, mm",
}


@app.command()
def demo(
    archive: Annotated[
        Path | None, typer.Option("--zip", help="UK Biobank-style archive.", show_default="the package's own")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="Its true curves.", show_default="the package's own"),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("demo_out"),
    bundle: Bundle = None,
) -> None:
    """Predict a simulated person who was never in training, and compare with the truth."""
    from spinelift.cli.predict import make_result_pictures
    from spinelift.files import make_folder
    from spinelift.inference.model import load_model
    from spinelift.inference.outputs import result_folder, write_result
    from spinelift.io import read_dxa
    from spinelift.io.truth import read_truth

    true = read_truth(truth or DATA / "truth.json")
    scan = read_dxa(archive or _packaged_archive())
    make_folder(out)
    model = load_model(bundle)
    prediction = model.predict(scan)
    folder = result_folder(out, scan.scan_id)
    pictures = make_result_pictures(prediction, scan)
    write_result(prediction, folder, pictures=pictures, threads=model.threads)
    _print_scores(folder, sorted(pictures), compare(prediction, true, model))


def _packaged_archive() -> Path:
    from spinelift.errors import NoScansError

    found = sorted(DATA.glob("*.zip"))
    if not found:
        raise NoScansError(
            found="no archive in the package's demo folder",
            expected="the archive of one simulated person",
            do="Install spinelift again, or name an archive with --zip and its truth with --truth.",
        )
    return found[0]


def compare(prediction: "Prediction", truth: "SimulatedTruth", model: "Model") -> dict[str, dict[str, float]]:
    """Errors of the prediction and, where the card holds one, of the mean curve in the same place."""
    from spinelift.bundle.card import as_array
    from spinelift.curves import SpineCurves
    from spinelift.evaluate.metrics import score

    curves = {"spinelift": prediction.curves}
    mean = model.bundle.card.calibration.mean_curves
    if mean is not None:
        curves["mean curve"] = SpineCurves(as_array(mean), prediction.curves.frame)
    return {
        name: score(c.z_mm, c.mm, truth.dxa.z_mm, truth.dxa.curves_mm, iou_step_mm=None)
        for name, c in curves.items()
    }


def _print_scores(folder: Path, pictures: list[str], scores: dict[str, dict[str, float]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    console.print("A simulated person who was never in training. The pictures:")
    for name in pictures:
        console.print(f"  {escape(str(folder / name))}")
    table = Table("error against the truth", *scores, title=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for key, label in SHOWN.items():
        table.add_row(label, *(f"{one[key]:.2f}" for one in scores.values()))
    console.print(table)
    console.print(f"Open {escape(str(folder / 'spine.html'))} in a browser to turn the spine.")
