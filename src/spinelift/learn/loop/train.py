"""The frame of every training: check, build, initialise, fit, record; and how a run is loaded again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from spinelift.learn.loop.checkpoint import WEIGHTS, load_weights
from spinelift.learn.loop.config import TrainingConfig
from spinelift.learn.loop.loop import Outcome, Task, fit
from spinelift.learn.loop.run import finish_run, read_run_config, start_run

ConfigT = TypeVar("ConfigT", bound=TrainingConfig)
ModelT = TypeVar("ModelT", bound=nn.Module)


def train(
    config: TrainingConfig,
    make_model: Callable[[], ModelT],
    make_task: Callable[[ModelT], Task],
    *,
    data: Sequence[Path],
    people: int,
    examples: int,
    held_out: int,
    out: Path,
    resume: bool,
    title: str,
) -> Outcome:
    """Train a network, or resume; ``out`` then holds config, weights, checkpoint, log, picture and record.

    ``make_model`` is called after the seed is set, ``make_task`` after the weights of ``config.init_from``
    are loaded. ``data`` are the sources for the record, ``held_out`` is the number of validation examples.

    Raises
    ------
    ConfigError
        There are too few examples, or ``out`` holds a run and ``resume`` is False.
    """
    start_run(config, config.loop, out, resume=resume, train=examples, validation=held_out)
    torch.manual_seed(config.loop.seed)
    model = make_model()
    if config.init_from is not None and not resume:
        load_weights(model, Path(config.init_from))
    task = make_task(model)
    outcome = fit(task, optim=config.optim, loop=config.loop, out=out, resume=resume, title=title)
    finish_run(
        out, outcome, data=data, people=people, examples=examples, seed=config.loop.seed,
        init_from=config.init_from,
    )  # fmt: skip
    return outcome


def load_run(
    run: Path, kind: type[ConfigT], make_model: Callable[[ConfigT], ModelT]
) -> tuple[ModelT, ConfigT]:
    """Network of a run with its averaged weights, ready to predict, and its configuration."""
    config = read_run_config(run, kind)
    model = make_model(config)
    load_weights(model, run / WEIGHTS)
    return model.eval(), config
