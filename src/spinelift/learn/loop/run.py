"""The folder of a run: ``config.yaml``, weights, checkpoint, ``log.csv`` with its picture, ``run.json``."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import torch

from spinelift.errors import ConfigError
from spinelift.files import file_sha256, make_folder, remove_unfinished, write_json
from spinelift.learn.loop.checkpoint import LOG, WEIGHTS
from spinelift.learn.loop.config import Config, LoopConfig
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.plot import plot_log

CONFIG, RECORD, PICTURE = "config.yaml", "run.json", "log.png"
PACKAGES = ("spinelift", "torch", "numpy", "zarr")
ConfigT = TypeVar("ConfigT", bound=Config)


def start_run(
    config: Config, loop: LoopConfig, out: Path, *, resume: bool, train: int, validation: int
) -> None:
    """Check that there is enough to train on and that nothing is overwritten; write the configuration."""
    if train < loop.batch or not validation:
        raise ConfigError(
            found=f"{train} examples to train on and {validation} to validate",
            expected=f"at least one batch of {loop.batch}, and one to validate",
            do="Simulate more people, or lower loop.batch.",
        )
    make_folder(out)
    if (out / WEIGHTS).exists() and not resume:
        raise ConfigError(
            found=f"a run in {out}", expected="a new folder", do="Give --resume, or another --out."
        )
    remove_unfinished(out)
    config.dump(out / CONFIG)


def finish_run(
    out: Path,
    outcome: Outcome,
    *,
    data: Sequence[Path],
    people: int,
    examples: int,
    seed: int,
    init_from: str | None,
) -> None:
    """Write the picture of the log and the record."""
    plot_log(out / LOG, out / PICTURE)
    record = {
        "people": people,
        "examples": examples,
        "data": [p.name for p in data],
        "steps": outcome.steps,
        "seconds": round(outcome.seconds, 1),
        "seed": seed,
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "init_from": file_sha256(Path(init_from)) if init_from else None,
        "parameters": sum(p.numel() for p in outcome.model.parameters()),
        "validation": outcome.validation,
        "weights_sha256": file_sha256(out / WEIGHTS),
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    }
    write_json(out / RECORD, record)


def read_run_config(run: Path, kind: type[ConfigT]) -> ConfigT:
    """Configuration of a run."""
    if not (run / CONFIG).is_file():
        raise ConfigError(found=f"no {CONFIG} in {run}", expected="a training run", do="Check the path.")
    return kind.load(run / CONFIG)
