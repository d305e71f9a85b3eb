"""The frame of every training: check, build, initialise, fit, record; and how a run is loaded again.

The folder of a run holds ``config.yaml``, weights, checkpoint, ``log.csv`` with its plot, and ``run.json``.
"""

import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import torch
from lightning.fabric import Fabric
from matplotlib.figure import Figure
from torch import nn

from spinelift.errors import ConfigError
from spinelift.files import file_sha256, make_folder, remove_unfinished, whole_file, write_json
from spinelift.learn.loop.checkpoint import CHECKPOINT, LOG, WEIGHTS, load_weights, read_rows
from spinelift.learn.loop.config import DeviceConfig, TrainingConfig
from spinelift.learn.loop.examples import Examples
from spinelift.learn.loop.loop import Outcome, fit
from spinelift.learn.loop.task import Task

CONFIG, RECORD, PICTURE = "config.yaml", "run.json", "log.png"
PACKAGES = ("spinelift", "torch", "lightning", "numpy", "zarr")
PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}
_LOOP = ("steps", "epochs", "max_seconds", "threads", "validate_every", "checkpoint_seconds", "log_every")
FREE = {"init_from", *(f"loop.{name}" for name in _LOOP)}
"""Settings that a resumed run may change; its weights are those of the checkpoint."""
ConfigT = TypeVar("ConfigT", bound=TrainingConfig)
ModelT = TypeVar("ModelT", bound=nn.Module)


class Run(NamedTuple, Generic[ConfigT]):
    """A run whose settings are checked and whose processes are started."""

    config: ConfigT
    out: Path
    resume: bool
    fabric: Fabric


def begin(config: ConfigT, out: Path, *, resume: bool = False, several: bool = False) -> Run[ConfigT]:
    """Check a run before any work is done, and start its processes; ``several`` if it can have more than one.

    A :class:`ConfigError` says that the folder holds another run, that weights are missing, or that a batch
    cannot be shared.
    """
    if resume:
        config = config.override({"init_from": _check_same(config, out).init_from})
    else:
        refuse_second_run(out / WEIGHTS)
        if config.init_from is not None and not Path(config.init_from).is_file():
            raise ConfigError(
                found=f"no weights at {config.init_from}", expected="a safetensors file", do="Check the path."
            )
    processes = config.device.devices * config.device.nodes
    if processes > 1 and (not several or config.loop.batch % processes):
        limit = f"a batch of {config.loop.batch} that they share equally" if several else "one process"
        raise ConfigError(found=f"{processes} processes", expected=limit, do="Change --devices or --batch.")
    if config.loop.threads is not None:
        torch.set_num_threads(config.loop.threads)
    return Run(config, out, resume, launch(config.device))


def launch(device: DeviceConfig) -> Fabric:
    """Fabric with all its processes; a :class:`ConfigError` says that the devices are not there."""
    try:
        fabric = Fabric(
            accelerator=device.accelerator, devices=device.devices, num_nodes=device.nodes,
            precision=PRECISION[device.precision],  # type: ignore[arg-type]
            strategy="ddp" if device.devices * device.nodes > 1 else "auto",
        )  # fmt: skip
        fabric.launch()
    except (RuntimeError, ValueError) as error:  # Lightning's MisconfigurationException is a RuntimeError
        do = "Choose another --accelerator or fewer --devices."
        raise ConfigError(found=str(error), expected="devices of this machine", do=do) from error
    return fabric


def _check_same(config: ConfigT, out: Path) -> ConfigT:
    """Settings of the run in a folder; a :class:`ConfigError` if there is none, or it has other settings."""
    if not (out / CHECKPOINT).is_file() or not (out / CONFIG).is_file():
        do = "Start without --resume."
        raise ConfigError(found=f"no checkpoint in {out.name}", expected="a run to resume", do=do)
    before = type(config).load(out / CONFIG)
    changed = {key: pair for key, pair in before.differences(config).items() if key not in FREE}
    if changed:
        text = "; ".join(f"{key} {now}, which was {old}" for key, (old, now) in changed.items())
        do = "Resume with the settings in config.yaml of the run, or start another --out."
        raise ConfigError(found=text, expected="the settings that the run was started with", do=do)
    return before


def train(
    run: Run[ConfigT], make_model: Callable[[], ModelT], make_task: Callable[[ModelT], Task], *,
    examples: Examples, held_out: int, data: Sequence[str], title: str, pretrained: str | None = None,
    donors: Sequence[str] = (),
    new: tuple[str, ...] = (),
) -> Outcome:  # fmt: skip
    """Train a network, or resume.

    ``make_model`` is called after the seed is set, ``make_task`` after the weights of ``config.init_from``
    are loaded. ``held_out`` is the number of validation examples. For the record, ``data`` names the sources,
    ``pretrained`` the weights of ``make_model`` if they are not random, and ``donors`` whose vertebrae
    simulated people have. Parts of the network that ``new`` names may be absent from the weights of
    ``config.init_from`` (:func:`load_weights`).

    A :class:`ConfigError` says that there are too few examples.
    """
    config, out, resume, fabric = run
    loop = config.loop
    if len(examples) < loop.batch or not held_out:
        raise ConfigError(
            found=f"{len(examples)} examples to train on and {held_out} to validate",
            expected=f"at least one batch of {loop.batch}, and one to validate",
            do="Give more people, or a smaller --batch.",
        )
    if fabric.is_global_zero:
        make_folder(out)
        remove_unfinished(out)
        config.dump(out / CONFIG)
    torch.manual_seed(loop.seed)
    model, start = make_model(), pretrained
    if config.init_from is not None and not resume:
        absent = load_weights(model, Path(config.init_from), new=new)
        start = file_sha256(Path(config.init_from))
        if absent:
            start += f", without {', '.join(absent)}"
            fabric.print(f"{title}: not in the initial weights: {', '.join(absent)}", file=sys.stderr)
    outcome = fit(
        make_task(model), optim=config.optim, loop=loop, out=out, fabric=fabric, resume=resume, title=title,
        start=start, compiled=config.device.compile,
    )  # fmt: skip
    if outcome.main:
        plot_log(out / LOG, out / PICTURE)
        record = {
            "people": examples.people, "examples": len(examples), "data": list(data),
            "donors": list(donors),
            "steps": outcome.steps, "seconds": round(outcome.seconds, 1), "seed": loop.seed,
            "device": describe(fabric, config.device), "threads": torch.get_num_threads(),
            "init_from": outcome.start,
            "parameters": sum(p.numel() for p in outcome.model.parameters()),
            "validation": outcome.validation, "weights_sha256": file_sha256(out / WEIGHTS),
            "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        }  # fmt: skip
        write_json(out / RECORD, record)
    return outcome


def describe(fabric: Fabric, device: DeviceConfig) -> dict[str, str | int | bool]:
    """What a run computed on."""
    kind = fabric.device.type
    name = torch.cuda.get_device_name(fabric.device) if kind == "cuda" else platform.machine()
    processes = {"processes": fabric.world_size, "nodes": device.nodes}
    return {"type": kind, "name": name, **processes, "precision": device.precision, "compile": device.compile}


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
