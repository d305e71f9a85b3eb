"""Files of a run: whole, of any name, resumed without the work that was lost."""

from contextlib import suppress
from pathlib import Path

import pytest
from damage import DAMAGE

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from spinelift.errors import DamagedFileError  # noqa: E402
from spinelift.files import whole_file  # noqa: E402
from spinelift.learn.loop.checkpoint import (  # noqa: E402
    CsvLog,
    load_checkpoint,
    load_weights,
    read_rows,
    save_checkpoint,
    save_weights,
)


def test_weights_and_checkpoint_of_one_stem_do_not_meet(tmp_path):
    """Both were written through ``run.part``."""
    model = torch.nn.Linear(2, 2)
    with whole_file(tmp_path / "run.safetensors") as file:
        save_checkpoint({"step": 3, "model": model.state_dict()}, tmp_path / "run.pt")
        file.write(b"other")
    assert load_checkpoint(tmp_path / "run.pt")["step"] == 3
    save_weights(model.state_dict(), tmp_path / "run.safetensors")
    other = torch.nn.Linear(2, 2)
    load_weights(other, tmp_path / "run.safetensors")
    torch.testing.assert_close(other.weight, model.weight)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.pt", "run.safetensors"]


def test_the_log_goes_on_without_what_was_lost(tmp_path):
    path = tmp_path / "log.csv"
    for first in (1, 3):
        log = CsvLog(path, after_step=first - 1)
        for step in range(first, first + 4):
            log.add(step, 1.0, 0.1, "train", {"loss": float(10 * first + step)})
    assert [(row["step"], row["value"]) for row in read_rows(path)] == [
        ("1", "11"), ("2", "12"), ("3", "33"), ("4", "34"), ("5", "35"), ("6", "36"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("at", [0.0, 0.01, 0.3, 0.5, 0.9, 0.995])
def test_damage_is_found(tmp_path, kind, at):
    model = torch.nn.Linear(20, 20)
    save_checkpoint({"step": 3, "model": model.state_dict()}, tmp_path / "checkpoint.pt")
    save_weights(model.state_dict(), tmp_path / "weights.safetensors")
    for name in ("checkpoint.pt", "weights.safetensors"):
        path = tmp_path / name
        path.write_bytes(DAMAGE[kind](path.read_bytes(), at))
    with pytest.raises(DamagedFileError, match=r"checkpoint\.pt"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    other = torch.nn.Linear(20, 20)
    with suppress(DamagedFileError):  # else the checksum alone was hit
        load_weights(other, tmp_path / "weights.safetensors")
        torch.testing.assert_close(other.weight, model.weight, rtol=0, atol=0)


class Command:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    path, mark = tmp_path / "checkpoint.pt", tmp_path / "mark"
    save_checkpoint({"step": Command(mark)}, path)
    with pytest.raises(DamagedFileError, match="plain values"):
        load_checkpoint(path)
    assert not mark.exists()


def test_weights_of_other_programs_have_no_checksum(tmp_path):
    model, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    save_file(model.state_dict(), tmp_path / "a.safetensors", metadata={"format": "pt"})
    load_weights(other, tmp_path / "a.safetensors")
    torch.testing.assert_close(other.weight, model.weight)
