"""The frame of every training: check, build, initialise, fit, record; and how a run is loaded again.

The folder of a run holds ``config.yaml``, weights, checkpoint, ``log.csv`` with its plot, and ``run.json``.
"""

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import torch
from matplotlib.figure import Figure
from torch import nn

from spinelift.errors import ConfigError
from spinelift.files import file_sha256, make_folder, remove_unfinished, whole_file, write_json
from spinelift.learn.loop.checkpoint import LOG, WEIGHTS, load_weights, read_rows
from spinelift.learn.loop.config import TrainingConfig
from spinelift.learn.loop.loop import Outcome, Task, fit

CONFIG, RECORD, PICTURE = "config.yaml", "run.json", "log.png"
PACKAGES = ("spinelift", "torch", "numpy", "zarr")
ConfigT = TypeVar("ConfigT", bound=TrainingConfig)
ModelT = TypeVar("ModelT", bound=nn.Module)


def train(
    config: TrainingConfig, make_model: Callable[[], ModelT], make_task: Callable[[ModelT], Task], *,
    data: Sequence[Path], people: int, examples: int, held_out: int, out: Path, resume: bool, title: str,
) -> Outcome:  # fmt: skip
    """Train a network, or resume.

    ``make_model`` is called after the seed is set, ``make_task`` after the weights of ``config.init_from``
    are loaded. ``data`` are the sources for the record, ``held_out`` is the number of validation examples.

    A :class:`ConfigError` says that there are too few examples, or a run in ``out`` and no ``resume``.
    """
    loop = config.loop
    if examples < loop.batch or not held_out:
        raise ConfigError(
            found=f"{examples} examples to train on and {held_out} to validate",
            expected=f"at least one batch of {loop.batch}, and one to validate",
            do="Simulate more people, or lower loop.batch.",
        )
    make_folder(out)
    if not resume:
        refuse_second_run(out / WEIGHTS)
    remove_unfinished(out)
    config.dump(out / CONFIG)
    torch.manual_seed(loop.seed)
    model = make_model()
    if config.init_from is not None and not resume:
        load_weights(model, Path(config.init_from))
    outcome = fit(make_task(model), optim=config.optim, loop=loop, out=out, resume=resume, title=title)
    plot_log(out / LOG, out / PICTURE)
    record = {
        "people": people, "examples": examples, "data": [p.name for p in data], "steps": outcome.steps,
        "seconds": round(outcome.seconds, 1), "seed": loop.seed, "device": "cpu",
        "threads": torch.get_num_threads(),
        "init_from": file_sha256(Path(config.init_from)) if config.init_from else None,
        "parameters": sum(p.numel() for p in outcome.model.parameters()),
        "validation": outcome.validation, "weights_sha256": file_sha256(out / WEIGHTS),
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    }  # fmt: skip
    write_json(out / RECORD, record)
    return outcome


def refuse_second_run(file: Path) -> None:
    """Raise a :class:`ConfigError` if a run has left its ``file`` in its folder."""
    if file.exists():
        do = "Give --resume, or another --out."
        raise ConfigError(found=f"a run in {file.parent}", expected="a new folder", do=do)


def load_run(
    run: Path, kind: type[ConfigT], make_model: Callable[[ConfigT], ModelT]
) -> tuple[ModelT, ConfigT]:
    """Network of a run with its averaged weights, ready to predict, and its configuration."""
    if not (run / CONFIG).is_file():
        raise ConfigError(found=f"no {CONFIG} in {run}", expected="a training run", do="Check the path.")
    config = kind.load(run / CONFIG)
    model = make_model(config)
    load_weights(model, run / WEIGHTS)
    return model.eval(), config


def plot_log(log: Path, out: Path) -> None:
    """Plot every logged value against the step, one panel for each value of training and validation."""
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in read_rows(log):
        if row["name"] != "images_per_second":
            points = series.setdefault((row["split"], row["name"]), [])
            points.append((float(row["step"]), float(row["value"])))
    lines = (len(series) + 2) // 3
    figure = Figure(figsize=(9, 2 + 2.2 * lines), layout="constrained")
    for k, ((split, name), points) in enumerate(series.items()):
        axes = figure.add_subplot(lines, 3, k + 1)
        axes.plot(*zip(*points, strict=True), lw=1)
        axes.set_title(f"{split}: {name}", fontsize=9)
        axes.tick_params(labelsize=7)
    with whole_file(out) as file:
        figure.savefig(file, format="png", dpi=110)
