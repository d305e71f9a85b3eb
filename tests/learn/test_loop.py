"""The training loop on a linear model: limits, exact resume, averages, schedules, the frame around it."""

import json
from itertools import chain

import pytest
import torch
from torch import nn

from spinelift.errors import ConfigError
from spinelift.learn.loop import loop as module
from spinelift.learn.loop.checkpoint import CHECKPOINT, WEIGHTS, read_rows
from spinelift.learn.loop.config import CosineSchedule, LoopConfig, OptimConfig, StepSchedule, TrainingConfig
from spinelift.learn.loop.loop import Ema, fit, rate_factor
from spinelift.learn.loop.train import load_run, train

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(5))
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]])


class LineTask:
    """Least squares on noisy examples; records which examples it was given."""

    def __init__(self, model, *, stop_at=None):
        self.model, self.stop_at, self.seen = model, stop_at, []

    def __len__(self):
        return len(X)

    def losses(self, index, generator, progress):
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(index.tolist())
        noise = 0.1 * torch.randn(len(index), 1, generator=generator)
        return {"loss": (self.model(X[index]) - Y[index] + noise).square().mean()}

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
    outcome = fit(LineTask(line()), optim=OPTIM, loop=loop(steps=300), out=tmp_path)
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
        def losses(self, index, generator, progress):
            now[0] += 1.0
            return super().losses(index, generator, progress)

    limits = {"steps": None, "max_seconds": 10.0}
    with pytest.raises(KeyboardInterrupt):
        fit(Slow(line(), stop_at=6), optim=OPTIM, loop=loop(**limits), out=tmp_path)
    now[0] += 1000.0
    outcome = fit(Slow(line()), optim=OPTIM, loop=loop(**limits), out=tmp_path, resume=True)
    assert outcome.steps == 10
    assert outcome.seconds == pytest.approx(10.0)


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
            ema.update(model)
            keep = min(0.5, (1 + step) / (10 + step))
            wanted = keep * wanted + (1 - keep) * step
    assert float(ema.model[0].weight) == pytest.approx(wanted, rel=1e-6)
    assert int(ema.model[1].num_batches_tracked) == 30
    assert not ema.model.training
    assert not ema.model[0].weight.requires_grad


def test_a_decay_of_zero_is_the_model_itself():
    model = nn.Linear(2, 2)
    ema = Ema(model, 0.0)
    with torch.no_grad():
        model.weight.add_(1.0)
    ema.update(model)
    assert torch.equal(ema.model.weight, model.weight)


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
    assert config.override() == config
    other = config.override(max_minutes=2, threads=1, init_from=None)
    assert (other.loop.max_seconds, other.loop.steps, other.loop.epochs) == (120, None, None)
    assert other.loop.threads == 1
    assert other.loop.seed == config.loop.seed
    assert loop(steps=4, max_seconds=1.5).longer(3).steps == 12


FRAME = {"data": [], "people": 40, "examples": 40, "held_out": 5, "resume": False, "title": "line"}


def test_the_frame_seeds_starts_from_weights_records_and_loads_again(tmp_path):
    config = TrainingConfig(optim=OPTIM, loop=loop())
    first = train(config, lambda: nn.Linear(3, 1), LineTask, out=tmp_path / "a", **FRAME)
    torch.manual_seed(77)
    again = train(config, lambda: nn.Linear(3, 1), LineTask, out=tmp_path / "b", **FRAME)
    assert all(torch.equal(a, b) for a, b in zip(state(first).values(), state(again).values(), strict=True))
    still = TrainingConfig(optim=OptimConfig(rate=1e-9), loop=loop(ema=0.0))
    start = still.override(init_from=tmp_path / "a" / WEIGHTS)
    third = train(start, lambda: nn.Linear(3, 1), LineTask, out=tmp_path / "c", **FRAME)
    torch.testing.assert_close(state(third), state(first))
    record = json.loads((tmp_path / "c" / "run.json").read_text())
    assert (record["steps"], record["people"], record["seed"]) == (23, 40, 2)
    assert len(record["init_from"]) == 64
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
    train(config, lambda: nn.Linear(3, 1), LineTask, out=tmp_path / "a", **FRAME)
    with pytest.raises(ConfigError, match="--resume"):
        train(config, lambda: nn.Linear(3, 1), LineTask, out=tmp_path / "a", **FRAME)
    with pytest.raises(ConfigError, match="one batch of 8"):
        train(config, lambda: nn.Linear(3, 1), LineTask, out=tmp_path / "b", **{**FRAME, "examples": 7})
    assert not (tmp_path / "b" / CHECKPOINT).exists()
