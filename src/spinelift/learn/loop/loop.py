"""The training loop: batches, schedule, averaged weights, checkpoints, log; time budget, exact resume.

Plain PyTorch: on one machine the loop is shorter than the callbacks that a framework would need for a
budget in seconds and an exact resume.
"""

import copy
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from spinelift.files import make_folder
from spinelift.learn.loop import checkpoint
from spinelift.learn.loop.best import Best
from spinelift.learn.loop.config import CosineSchedule, LoopConfig, OptimConfig, StepSchedule
from spinelift.progress import Progress


class Task(Protocol):
    """A network with its examples, loss and validation."""

    @property
    def model(self) -> nn.Module:
        """The network."""

    def __len__(self) -> int: ...

    def losses(self, index: Tensor, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Losses of the examples ``index`` [B] at share ``progress`` 0..1 of a run; ``loss`` is minimised."""

    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Metrics of a model on at most ``limit`` held-out examples."""


class Outcome(NamedTuple):
    """Result of a run: averaged model, number of steps and seconds, its last or best validation."""

    model: nn.Module
    steps: int
    seconds: float
    validation: dict[str, float]


class Ema:
    """Exponential moving average of weights and buffers, in a copy of the model.

    The decay at step n is min(decay, (1 + n) / (10 + n)), so that the initial weights are soon forgotten.
    Counters are copied. ``torch.optim.swa_utils.AveragedModel`` has neither: it averages counters and takes
    the first update as a whole.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Add the model's current weights to the average."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mean, now in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)


def rate_factor(schedule: CosineSchedule | StepSchedule, *, progress: float, epoch: int) -> float:
    """Factor on the rate in ``epoch`` (from 0), at the share ``progress`` 0..1 of a run's steps or time."""
    if isinstance(schedule, StepSchedule):
        return float(schedule.factor ** (epoch // schedule.every_epochs))
    if progress < schedule.warmup:
        return max(progress / schedule.warmup, 0.01)
    along = (progress - schedule.warmup) / max(1 - schedule.warmup, 1e-9)
    return schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * min(along, 1.0))) / 2


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW with weight decay on matrices and kernels only (Adam if the decay is 0)."""
    params = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in params if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.rate, betas=config.betas)


def fit(
    task: Task, *, optim: OptimConfig, loop: LoopConfig, out: Path, resume: bool = False, title: str = "run"
) -> Outcome:
    """Train until the first limit of ``loop``; the folder ``out`` then holds weights, checkpoint and log.

    With ``resume`` the run continues from its checkpoint as if it had never stopped.
    """
    make_folder(out)
    if loop.threads is not None:
        torch.set_num_threads(loop.threads)
    model, ema = task.model, Ema(task.model, loop.ema)
    optimizer = make_optimizer(model, optim)
    generator = torch.Generator().manual_seed(loop.seed)
    torch.manual_seed(loop.seed)
    step, before, best = 0, 0.0, Best(loop, out)
    if resume:
        state = checkpoint.load_checkpoint(out / checkpoint.CHECKPOINT)
        model.load_state_dict(state["model"])
        ema.model.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_rng"])
        best.restore(state["best"])
        step, before, ema.updates = state["step"], state["seconds"], state["step"]
    per_epoch = max(1, len(task) // loop.batch)
    limits = [n for n in (loop.steps, loop.epochs and loop.epochs * per_epoch) if n]
    last_step = min(limits) if limits else None
    started = saved = time.monotonic()

    def seconds() -> float:
        return before + time.monotonic() - started

    def progress() -> float:
        parts = [step / last_step] if last_step else []
        parts += [seconds() / loop.max_seconds] if loop.max_seconds else []
        return min(1.0, max(parts))

    def save() -> None:
        checkpoint.save_weights(ema.model.state_dict(), out / checkpoint.WEIGHTS)
        state = {"model": model.state_dict(), "ema": ema.model.state_dict(), "step": step}
        state |= {"optimizer": optimizer.state_dict(), "generator": generator.get_state()}
        state |= {"torch_rng": torch.get_rng_state(), "seconds": seconds(), "best": best.state}
        checkpoint.save_checkpoint(state, out / checkpoint.CHECKPOINT)

    def validate(rate: float) -> dict[str, float]:
        metrics = task.validate(ema.model, loop.validate_limit)
        log.add(step, seconds(), rate, "validation", metrics)
        best.update(metrics, ema.model)
        shown.message(f"validation at step {step}: {_text(metrics)}")
        return metrics

    sums: dict[str, float] = {}
    counted, mark, validation = 0, time.monotonic(), {}
    model.train()
    order, order_epoch = torch.empty(0, dtype=torch.long), -1
    log = checkpoint.CsvLog(out / checkpoint.LOG, after_step=step)
    with Progress(title, 1.0, done=progress()) as shown:
        while (done := progress()) < 1.0 and not best.stop:
            epoch, k = divmod(step, per_epoch)
            if epoch != order_epoch:
                shuffle = torch.Generator().manual_seed(loop.seed * 1_000_003 + epoch)
                order, order_epoch = torch.randperm(len(task), generator=shuffle), epoch
            rate = optim.rate * rate_factor(optim.schedule, progress=done, epoch=epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses = task.losses(order[k * loop.batch : (k + 1) * loop.batch], generator, done)
            optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()  # type: ignore[no-untyped-call]
            if optim.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), optim.clip_norm)
            optimizer.step()
            ema.update(model)
            step += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            counted += 1
            if step % loop.log_every == 0:
                means = {name: value / counted for name, value in sums.items()}
                speed = counted * loop.batch / (time.monotonic() - mark)
                log.add(step, seconds(), rate, "train", {**means, "images_per_second": speed})
                shown.report(progress(), f"step {step}, {speed:.0f} images/s, {_text(means)}")
                sums, counted, mark = {}, 0, time.monotonic()
            if step % loop.validate_every == 0:
                validation, mark = validate(rate), time.monotonic()
            if time.monotonic() - saved >= loop.checkpoint_seconds:
                save()
                saved = time.monotonic()
        save()
        if not validation or step % loop.validate_every:
            validation = validate(0.0)
        if of_best := best.load(ema.model):
            validation = of_best
            checkpoint.save_weights(ema.model.state_dict(), out / checkpoint.WEIGHTS)
    return Outcome(ema.model, step, seconds(), validation)


def _text(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
