"""Files of a run: whole, of any name, resumed without the work that was lost."""

import pytest

torch = pytest.importorskip("torch")

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
