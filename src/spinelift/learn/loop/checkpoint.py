"""Files of a run: checkpoints that are whole or absent, weights without pickles, the log."""

import csv
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from spinelift.errors import ConfigError
from spinelift.files import UNSEALED, damaged, is_sealed, read_sealed, seal, write_csv, write_whole

CHECKPOINT, WEIGHTS, LOG = "checkpoint.pt", "weights.safetensors", "log.csv"


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Weights as safetensors with a checksum; the file appears whole."""
    tensors = {k: v.detach().contiguous().clone() for k, v in state.items()}
    write_whole(path, seal(save(tensors, metadata={"checksum": UNSEALED.decode()})))


def load_weights(model: nn.Module, path: Path, *, new: tuple[str, ...] = ()) -> list[str]:
    """Weights from safetensors into a model of the same shape; the checksum is compared where there is one.

    A part whose names begin with one of ``new`` may be absent as a whole: it keeps its values, and its names
    are returned. Raises ConfigError if there is no such file or it is of another network, DamagedFileError if
    it was changed or cut.
    """
    if not path.is_file():
        raise ConfigError(
            found=f"no weights {path.name}", expected="a safetensors file", do="Check the path."
        )
    data = path.read_bytes()
    do = "Copy the file again, or train again."
    if b'"checksum"' in data[:4096] and not is_sealed(data):  # those of other programs have none
        raise damaged(path, f"{len(data)} bytes that do not fit its checksum", do)
    try:
        given, own = load(data), model.state_dict()
        parts = [[name for name in own if name.startswith(start)] for start in new]
        kept = [name for part in parts if not given.keys() & set(part) for name in part]
        model.load_state_dict(given | {name: own[name] for name in kept})
    except SafetensorError:
        raise damaged(path, "no safetensors", do) from None
    except RuntimeError as error:
        raise ConfigError(
            found=f"weights of another network in {path.name} ({str(error).splitlines()[-1].strip()})",
            expected=f"those of {type(model).__name__} as configured",
            do="Give the configuration that the weights were trained with.",
        ) from error
    return kept


def save_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """All that resuming needs, with a checksum; the file appears whole."""
    file = BytesIO()
    torch.save(dict(state), file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = UNSEALED
    write_whole(path, seal(file.getvalue()))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote: tensors and plain values only, no code.

    Raises ConfigError if there is no checkpoint, DamagedFileError if it was changed or cut.
    """
    if not path.is_file():
        do = "Start without --resume."
        raise ConfigError(found=f"no checkpoint {path.name}", expected="a run to resume", do=do)
    do = "Restore it from a copy, or train again in a new folder."
    data = read_sealed(path, do=do)
    try:
        state: dict[str, Any] = torch.load(BytesIO(data), weights_only=True)
    except (UnpicklingError, RuntimeError):
        raise damaged(path, "not tensors and plain values alone", do) from None
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
