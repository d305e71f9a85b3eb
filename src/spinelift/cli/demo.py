"""``spinelift demo``: one simulated person, from the archive to the pictures, beside the truth."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spinelift.cli.options import Bundle
from spinelift.files import make_folder

app = typer.Typer(add_completion=False)

DATA = Path(__file__).parents[1] / "demo"
"""The archive and the truth that come with the package."""
SHOWN = {
    "coronal_mae_mm": "coronal MAE",
    "sagittal_mae_mm": "sagittal MAE",
    "deviation3d_mm": "3D deviation",
}


@app.command()
def demo(
    archive: Annotated[
        Path, typer.Option("--zip", help="UK Biobank-style archive.", show_default="the package's own")
    ] = DATA / "1900003_20158_2_0.zip",
    truth: Annotated[Path, typer.Option(help="Its true curves.", show_default="the package's own")] = DATA
    / "truth.json",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("demo_out"),
    bundle: Bundle = None,
) -> None:
    """Predict a simulated person who was never in training, and compare with the truth."""
    import numpy as np

    from spinelift.curves import SpineCurves
    from spinelift.evaluate.metrics import score
    from spinelift.inference.model import load_model
    from spinelift.inference.outputs import write_result
    from spinelift.io import read_dxa
    from spinelift.io.truth import read_truth
    from spinelift.report.pictures import make_pictures

    true = read_truth(truth).dxa
    scan = read_dxa(archive)
    make_folder(out)
    model = load_model(bundle)
    prediction = model.predict(scan)
    pictures = make_pictures(prediction.scene())
    folder = write_result(prediction, out, extra=pictures, threads=model.threads)

    curves = {"spinelift": prediction.curves}
    mean = model.bundle.card.calibration.mean_curves
    if mean is not None:
        curves["mean curve"] = SpineCurves(np.array(mean), prediction.curves.frame)
    scores = [score(c.z_mm, c.mm, true.z_mm, true.curves_mm, iou_step_mm=None) for c in curves.values()]
    console = Console(highlight=False, soft_wrap=True)
    console.print("A simulated person who was never in training. The pictures:")
    for name in sorted(pictures):
        console.print(f"  {escape(str(folder / name))}")
    table = Table("error against the truth")
    for name in curves:
        table.add_column(name, justify="right")
    for key, label in SHOWN.items():
        table.add_row(f"{label}, mm", *(f"{one[key]:.2f}" for one in scores))
    console.print(table)
    console.print(f"Open {escape(str(folder / 'spine.html'))} in a browser to turn the spine.")
