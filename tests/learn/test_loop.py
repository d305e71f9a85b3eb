"""The training loop on a linear model: limits, exact resume, averages, schedules, the frame around it."""

import json
from itertools import chain

import numpy as np
import pytest
import torch
from torch import nn

from spinelift.errors import ConfigError
from spinelift.learn.loop import loop as module
from spinelift.learn.loop.average import Ema, rate_factor
from spinelift.learn.loop.checkpoint import CHECKPOINT, WEIGHTS, read_rows
from spinelift.learn.loop.config import CosineSchedule, LoopConfig, OptimConfig, StepSchedule, TrainingConfig
from spinelift.learn.loop.examples import Examples
from spinelift.learn.loop.loop import fit
from spinelift.learn.loop.train import begin, load_run, train

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(5))
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]])


class LineTask:
    """Least squares on noisy examples; records which examples it was given."""

    def __init__(self, model, *, stop_at=None):
        self.model, self.stop_at, self.seen = model, stop_at, []
        self.examples = Examples(X.numpy(), Y.numpy(), np.arange(len(X)), people=len(X))

    def batch(self, rows, random, progress):
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        x, y, index = rows
        self.seen.append(index.tolist())
        return x, y + 0.1 * random.randn(len(x), 1) * (1 + random.host.random())

    def losses(self, batch, random):
        x, y = batch
        return {"loss": (self.model(x) - y).square().mean()}

    def validate(self, model, limit):
        return {"mse": float((model(X[:limit]) - Y[:limit]).square().mean())}


def line():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 1), nn.Dropout(0.1))


OPTIM = OptimConfig(rate=0.05)


def loop(**changes):
    settings = {"seed": 2, "batch": 8, "steps": 23, "ema": 0.9, "validate_every": 10, "log_every": 4}
    return LoopConfig(**{**settings, "checkpoint_seconds": 0.0, **changes})


def state(outcome):
    return outcome.model.state_dict()


def test_it_learns_logs_and_leaves_files(tmp_path):
    outcome = fit(LineTask(line()), optim=OPTIM, loop=loop(steps=300, checkpoint_seconds=60.0), out=tmp_path)
    assert outcome.steps == 300
    assert outcome.validation["mse"] < 0.2  # 5.2 at the start
    assert (tmp_path / WEIGHTS).is_file()
    rows = read_rows(tmp_path / "log.csv")
    assert [int(r["step"]) for r in rows if r["name"] == "mse"] == list(range(10, 301, 10))
    assert [int(r["step"]) for r in rows if r["name"] == "loss"] == list(range(4, 301, 4))


@pytest.mark.parametrize("stop_at", [1, 7, 22])
def test_resume_gives_the_same_bits_wherever_it_was_stopped(tmp_path, stop_at):
    whole = fit(LineTask(line()), optim=OPTIM, loop=loop(), out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(LineTask(line(), stop_at=stop_at), optim=OPTIM, loop=loop(), out=tmp_path / "cut")
    torch.manual_seed(99)  # another process
    rest = LineTask(line())
    cut = fit(rest, optim=OPTIM, loop=loop(), out=tmp_path / "cut", resume=True)
    assert len(rest.seen) == 23 - stop_at
    assert all(torch.equal(a, b) for a, b in zip(state(whole).values(), state(cut).values(), strict=True))
    assert (tmp_path / "whole" / WEIGHTS).read_bytes() == (tmp_path / "cut" / WEIGHTS).read_bytes()
    assert whole.validation == cut.validation
    steps = [[r["step"] for r in read_rows(tmp_path / n / "log.csv")] for n in ("whole", "cut")]
    assert steps[0] == steps[1]


def test_an_epoch_shows_every_example_once_in_another_order(tmp_path):
    task = LineTask(line())
    outcome = fit(task, optim=OPTIM, loop=loop(steps=None, epochs=2), out=tmp_path)
    assert outcome.steps == 10
    epochs = [list(chain(*task.seen[:5])), list(chain(*task.seen[5:]))]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(40))
    assert epochs[0] != epochs[1]


def test_a_budget_in_seconds_counts_those_before_a_resume(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    class Slow(LineTask):
        def losses(self, batch, random):
            now[0] += 1.0
            return super().losses(batch, random)

    limits = {"steps": None, "max_seconds": 10.0}
    with pytest.raises(KeyboardInterrupt):
        fit(Slow(line(), stop_at=6), optim=OPTIM, loop=loop(**limits), out=tmp_path)
    now[0] += 1000.0
    outcome = fit(Slow(line()), optim=OPTIM, loop=loop(**limits), out=tmp_path, resume=True)
    assert outcome.steps == 10
    assert outcome.seconds == pytest.approx(10.0)


def test_a_budget_in_seconds_is_planned_once_and_resumes_to_the_same_bits(tmp_path, monkeypatch):
    """The clock of the second half is another one; only the plan of the first counts."""
    now, pace = [0.0], [1.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    class Paced(LineTask):
        def losses(self, batch, random):
            now[0] += pace[0]
            return super().losses(batch, random)

    limits = {"steps": None, "max_seconds": 60.0}
    whole = fit(Paced(line()), optim=OPTIM, loop=loop(**limits), out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(Paced(line(), stop_at=17), optim=OPTIM, loop=loop(**limits), out=tmp_path / "cut")
    pace[0] = 3.0
    cut = fit(Paced(line()), optim=OPTIM, loop=loop(**limits), out=tmp_path / "cut", resume=True)
    assert whole.steps == cut.steps == 60
    assert all(torch.equal(a, b) for a, b in zip(state(whole).values(), state(cut).values(), strict=True))
    longer = loop(steps=None, max_seconds=cut.seconds + 20.0)
    task = Paced(line())
    fit(task, optim=OPTIM, loop=longer, out=tmp_path / "cut", resume=True)
    assert 5 <= len(task.seen) <= 20  # at the mean pace so far


@pytest.mark.parametrize("changed", [{"seed": 3}, {"batch": 4}, {"ema": 0.5}])
def test_a_resumed_run_with_other_settings_is_refused_before_any_work(tmp_path, changed):
    config = TrainingConfig(optim=OPTIM, loop=loop())
    train_line(config, tmp_path / "a")
    other = TrainingConfig(optim=OPTIM, loop=loop(**changed))
    with pytest.raises(ConfigError, match=rf"loop.{next(iter(changed))} .*, which was"):
        begin(other, tmp_path / "a", resume=True)
    longer = TrainingConfig(optim=OPTIM, loop=loop(steps=30, log_every=7))
    assert begin(longer, tmp_path / "a", resume=True).config == longer


def test_a_resumed_run_with_other_data_is_refused(tmp_path, monkeypatch):
    config = TrainingConfig(optim=OPTIM, loop=loop())
    train_line(config, tmp_path / "a")
    monkeypatch.setattr("test_loop.X", X[:-1])
    monkeypatch.setattr("test_loop.Y", Y[:-1])
    with pytest.raises(ConfigError, match="40 examples"):
        train_line(TrainingConfig(optim=OPTIM, loop=loop(steps=30)), tmp_path / "a", resume=True)


def test_what_cannot_run_is_refused_before_any_work(tmp_path):
    config = TrainingConfig(optim=OPTIM, loop=loop())
    with pytest.raises(ConfigError, match="no weights"):
        begin(config.override({"init_from": str(tmp_path / "none")}), tmp_path / "a")
    with pytest.raises(ConfigError, match="one process"):
        begin(config.override({"device.devices": 2}), tmp_path / "a")
    with pytest.raises(ConfigError, match="share equally"):
        begin(config.override({"device.devices": 3}), tmp_path / "a", several=True)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="devices of this machine"):
            begin(config.override({"device.accelerator": "gpu"}), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_error_while_writing_a_checkpoint_is_not_lost(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no room")

    monkeypatch.setattr(module.checkpoint, "save_checkpoint", full)
    with pytest.raises(OSError, match="no room"):
        fit(LineTask(line()), optim=OPTIM, loop=loop(), out=tmp_path)


def test_a_run_that_is_over_can_be_resumed_and_does_nothing(tmp_path):
    first = fit(LineTask(line()), optim=OPTIM, loop=loop(), out=tmp_path)
    task = LineTask(line())
    again = fit(task, optim=OPTIM, loop=loop(), out=tmp_path, resume=True)
    assert task.seen == []
    assert all(torch.equal(a, b) for a, b in zip(state(first).values(), state(again).values(), strict=True))


def test_the_average_warms_up_then_decays_and_copies_counters():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    with torch.no_grad():
        model[0].weight.fill_(0.0)
        ema = Ema(model, 0.5)
        wanted = 0.0
        for step in range(1, 31):
            model[0].weight.fill_(float(step))
            model[1].num_batches_tracked.fill_(step)
            ema.update()
            keep = min(0.5, (1 + step) / (10 + step))
            wanted = keep * wanted + (1 - keep) * step
    assert float(ema.model[0].weight) == pytest.approx(wanted, rel=1e-6)
    assert int(ema.model[1].num_batches_tracked) == 30
    assert not ema.model.training
    assert not ema.model[0].weight.requires_grad


def test_a_decay_of_zero_is_the_model_itself(tmp_path):
    model = line()
    assert Ema(model, 0.0).model is model
    outcome = fit(LineTask(model), optim=OPTIM, loop=loop(ema=0.0), out=tmp_path)
    again = fit(LineTask(line()), optim=OPTIM, loop=loop(ema=0.0), out=tmp_path, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(state(outcome).values(), state(again).values(), strict=True))


def test_cosine_schedule():
    schedule = CosineSchedule(warmup=0.1, floor=0.01)
    factors = [rate_factor(schedule, progress=p, epoch=0) for p in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert factors == pytest.approx([0.01, 0.5, 1.0, 0.505, 0.01])


def test_step_schedule_counts_epochs():
    schedule = StepSchedule(kind="step", every_epochs=200, factor=0.1)
    factors = [rate_factor(schedule, progress=0.5, epoch=e) for e in (0, 199, 200, 400)]
    assert factors == pytest.approx([1, 1, 0.1, 0.01])


def test_limits_must_be_given_and_can_be_overridden():
    with pytest.raises(ValueError, match="one of epochs, steps and max_seconds"):
        LoopConfig()
    config = TrainingConfig(optim=OPTIM, loop=loop(epochs=3))
    assert config.override({"loop.batch": None}) == config
    other = config.override({"loop.max_seconds": 120, "loop.threads": 1, "optim.rate": 0.5})
    assert (other.loop.max_seconds, other.loop.steps, other.loop.epochs) == (120, None, None)
    assert (other.loop.threads, other.optim.rate) == (1, 0.5)
    assert other.loop.seed == config.loop.seed
    with pytest.raises(ConfigError, match="precision"):
        config.override({"device.precision": "fp8"})
    assert loop(steps=4, max_seconds=1.5).longer(3).steps == 12


def train_line(config, out, *, resume=False, held_out=5):
    task = LineTask(None)

    def make_task(model):
        task.model = model
        return task

    run = begin(config, out, resume=resume)
    return train(
        run,
        lambda: nn.Linear(3, 1),
        make_task,
        examples=task.examples,
        held_out=held_out,
        data=[],
        title="line",
    )


def test_the_frame_seeds_starts_from_weights_records_and_loads_again(tmp_path):
    config = TrainingConfig(optim=OPTIM, loop=loop())
    first = train_line(config, tmp_path / "a")
    torch.manual_seed(77)
    again = train_line(config, tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(state(first).values(), state(again).values(), strict=True))
    still = TrainingConfig(optim=OptimConfig(rate=1e-9), loop=loop(ema=0.0))
    start = still.override({"init_from": str(tmp_path / "a" / WEIGHTS)})
    third = train_line(start, tmp_path / "c")
    torch.testing.assert_close(state(third), state(first))
    record = json.loads((tmp_path / "c" / "run.json").read_text())
    assert (record["steps"], record["people"], record["seed"]) == (23, 40, 2)
    assert len(record["init_from"]) == 64
    assert (record["device"]["type"], record["device"]["processes"], record["device"]["precision"]) == (
        "cpu", 1, "fp32",
    )  # fmt: skip
    model, read = load_run(tmp_path / "a", TrainingConfig, lambda c: nn.Linear(3, 1))
    assert read == config
    assert not model.training
    assert torch.equal(model.weight, first.model.weight)


@pytest.mark.parametrize("rate", [".nan", ".inf", "-.inf"])
def test_numbers_of_a_configuration_are_finite(tmp_path, rate):
    path = tmp_path / "config.yaml"
    path.write_text(f"optim: {{rate: {rate}}}\nloop: {{steps: 1}}\n")
    with pytest.raises(ConfigError, match="rate"):
        TrainingConfig.load(path)


def test_the_frame_refuses_to_overwrite_a_run_or_to_train_on_too_little(tmp_path):
    config = TrainingConfig(optim=OPTIM, loop=loop())
    train_line(config, tmp_path / "a")
    with pytest.raises(ConfigError, match="--resume"):
        train_line(config, tmp_path / "a")
    with pytest.raises(ConfigError, match="one batch of 41"):
        train_line(TrainingConfig(optim=OPTIM, loop=loop(batch=41)), tmp_path / "b")
    with pytest.raises(ConfigError, match="0 to validate"):
        train_line(config, tmp_path / "b", held_out=0)
    assert not (tmp_path / "b" / CHECKPOINT).exists()
