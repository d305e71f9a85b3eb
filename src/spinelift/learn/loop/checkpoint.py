"""Files of a run: checkpoints that are whole or absent, weights without pickles, the log."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from spinelift.errors import ConfigError
from spinelift.files import whole_file, write_csv, write_whole

CHECKPOINT, WEIGHTS, LOG = "checkpoint.pt", "weights.safetensors", "log.csv"


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Weights as safetensors; the file appears whole."""
    write_whole(path, save({k: v.detach().contiguous().clone() for k, v in state.items()}))


def load_weights(model: nn.Module, path: Path) -> None:
    """Weights from safetensors into a model of the same shape."""
    if not path.is_file():
        raise ConfigError(found=f"no weights at {path}", expected="a safetensors file", do="Check the path.")
    try:
        model.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ConfigError(
            found=f"weights of another network in {path} ({str(error).splitlines()[-1].strip()})",
            expected=f"those of {type(model).__name__} as configured",
            do="Give the configuration that the weights were trained with.",
        ) from error


def save_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """All that resuming needs; the file appears whole."""
    with whole_file(path) as file:
        torch.save(dict(state), file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote: tensors and plain values only, no code."""
    if not path.is_file():
        do = "Start without --resume."
        raise ConfigError(found=f"no checkpoint at {path}", expected="a run to resume", do=do)
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


class CsvLog:
    """``log.csv``: one row a value. Opening at a step drops the rows of work that was lost after it."""

    FIELDS = ("step", "seconds", "rate", "split", "name", "value")

    def __init__(self, path: Path, *, after_step: int) -> None:
        kept = [row for row in read_rows(path) if int(row["step"]) <= after_step]
        write_csv(path, self.FIELDS, [[row[name] for name in self.FIELDS] for row in kept])
        self.path = path

    def add(self, step: int, seconds: float, rate: float, split: str, values: Mapping[str, float]) -> None:
        """One row for each value."""
        start = step, f"{seconds:.1f}", f"{rate:.3e}", split
        with self.path.open("a", newline="") as file:
            rows = ((*start, name, f"{value:.5g}") for name, value in values.items())
            csv.writer(file, lineterminator="\n").writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file, such as ``log.csv``; none if it is missing."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
