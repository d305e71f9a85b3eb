"""Plot of a run's log."""

from pathlib import Path

from matplotlib.figure import Figure

from spinelift.files import whole_file
from spinelift.learn.loop.checkpoint import read_log

SKIPPED = ("images_per_second",)


def plot_log(log: Path, out: Path) -> None:
    """Plot every logged value against the step, one panel for each value of training and validation."""
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in read_log(log):
        if row["name"] not in SKIPPED:
            series.setdefault((row["split"], row["name"]), []).append(
                (float(row["step"]), float(row["value"]))
            )
    figure = Figure(figsize=(9, 2 + 2.2 * ((len(series) + 2) // 3)), layout="constrained")
    for k, ((split, name), points) in enumerate(series.items()):
        axes = figure.add_subplot((len(series) + 2) // 3, 3, k + 1)
        axes.plot(*zip(*points, strict=True), lw=1)
        axes.set_title(f"{split}: {name}", fontsize=9)
        axes.tick_params(labelsize=7)
    with whole_file(out) as file:
        figure.savefig(file, format="png", dpi=110)
