"""The training loop: batches, schedule, averaged weights, checkpoints, log; any device, exact resume.

Lightning Fabric places the network and joins processes. Between two log lines the loop never waits for the
device: losses are summed there, and checkpoints are written by a thread. The random numbers of a step depend
on the seed, the step and the process alone, so that none have to be saved.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.fabric import Fabric
from rich.console import Console
from torch import Tensor, nn

from spinelift.errors import ConfigError
from spinelift.files import make_folder
from spinelift.learn.loop import checkpoint
from spinelift.learn.loop.average import Ema, make_optimizer, rate_factor
from spinelift.learn.loop.best import Best
from spinelift.learn.loop.budget import Budget
from spinelift.learn.loop.config import LoopConfig, OptimConfig
from spinelift.learn.loop.saver import Saver
from spinelift.learn.loop.task import Step, Task
from spinelift.learn.random import Random
from spinelift.progress import Progress


class Outcome(NamedTuple):
    """Result of a run: averaged model on the CPU, numbers of steps and seconds, last or best validation.

    ``start`` says what the run started from, ``main`` whether this process writes the files.
    """

    model: nn.Module
    steps: int
    seconds: float
    validation: dict[str, float]
    start: str | None = None
    main: bool = True


def fit(
    task: Task, *, optim: OptimConfig, loop: LoopConfig, out: Path, fabric: Fabric | None = None,
    resume: bool = False, title: str = "run", start: str | None = None, compiled: bool = False,
) -> Outcome:  # fmt: skip
    """Train until the first limit of ``loop``; the folder ``out`` then holds weights, checkpoint and log.

    ``loop.batch`` examples a step are shared by all processes. ``start`` says in words what the weights are.
    With ``resume`` the run continues from its checkpoint as if it had never stopped; a :class:`ConfigError`
    says that this is not the run of the checkpoint.
    """
    make_folder(out)
    run = Fitting(task, optim, loop, out, fabric or Fabric(accelerator="cpu", devices=1), start)
    if resume:
        run.restore(checkpoint.load_checkpoint(out / checkpoint.CHECKPOINT))
    if compiled:
        compile_parts(task.model)
    return run.train(title)


def compile_parts(model: nn.Module) -> None:
    """Compile the parts of a model that have parts of their own; what calls them stays Python."""
    for part in model.children():
        if next(part.children(), None) is not None:
            part.compile()


class Fitting:
    """A run: its state, and the parts of the loop."""

    def __init__(
        self, task: Task, optim: OptimConfig, loop: LoopConfig, out: Path, fabric: Fabric, start: str | None
    ) -> None:
        self.task, self.optim, self.loop, self.out, self.fabric = task, optim, loop, out, fabric
        self.module: Any = fabric.setup_module(Step(task))
        task.examples.place(fabric.device)
        self.ema = Ema(task.model, loop.ema)
        self.optimizer = make_optimizer(task.model, optim)
        self.per_epoch = max(1, len(task.examples) // loop.batch)
        self.budget = Budget(loop, self.per_epoch)
        self.best = Best(loop, out, main=fabric.is_global_zero)
        self.step, self.before, self.start = 0, 0.0, start
        self.began = time.monotonic()
        self.random, self.shuffle = Random(fabric.device), Random(task.examples.device)
        self.order, self.order_epoch = torch.empty(0), -1

    @property
    def identity(self) -> dict[str, int | str]:
        """What a run keeps from its start to its end."""
        fabric = self.fabric
        examples = len(self.task.examples)
        return {"examples": examples, "device": fabric.device.type, "processes": fabric.world_size}

    def seconds(self) -> float:
        """Seconds of training, those before a resume included."""
        return self.before + time.monotonic() - self.began

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the state of a checkpoint."""
        if state["run"] != self.identity:
            raise ConfigError(
                found="a run with " + ", ".join(f"{value} {name}" for name, value in state["run"].items()),
                expected=", ".join(f"{value} {name}" for name, value in self.identity.items()),
                do="Resume with the data and devices that the run was started with, or start another --out.",
            )
        self.task.model.load_state_dict(state["model"])
        self.ema.model.load_state_dict(state["ema"] or state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.before, self.start = state["step"], state["seconds"], state["start"]
        self.ema.updates = self.step
        self.budget.resume(state["budget"], self.step, self.before)
        self.best.restore(state["best"])

    def state(self) -> dict[str, Any]:
        """All that :meth:`restore` needs."""
        ema = self.ema.model.state_dict() if self.loop.ema else None
        return {
            "model": self.task.model.state_dict(), "ema": ema,
            "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds(),
            "budget": self.budget.state, "best": self.best.state, "run": self.identity, "start": self.start,
        }  # fmt: skip

    def take_step(self, progress: float) -> dict[str, Tensor]:
        """One step at share ``progress`` of the run; returns its losses, on the device."""
        loop, epoch, k = self.loop, *divmod(self.step, self.per_epoch)
        if epoch != self.order_epoch:
            self.shuffle.seed(loop.seed, epoch)
            self.order = self.shuffle.rand(len(self.task.examples)).argsort()
            self.order_epoch = epoch
        rank, share = self.fabric.global_rank, loop.batch // self.fabric.world_size
        self.random.seed(loop.seed, epoch, self.step, rank)
        torch.manual_seed(self.random.host.getrandbits(63))  # of dropout
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(progress)
        first = k * loop.batch + rank * share
        with torch.no_grad():
            rows = self.task.examples.take(self.order[first : first + share])
            batch = self.task.batch(rows, self.random, progress)
        losses: dict[str, Tensor] = self.module(batch, self.random)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(losses["loss"])
        if self.optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.task.model.parameters(), self.optim.clip_norm)
        self.optimizer.step()
        self.ema.update()
        self.step += 1
        return {name: value.detach() for name, value in losses.items()}

    def rate(self, progress: float) -> float:
        """Learning rate of the next step."""
        epoch = self.step // self.per_epoch
        return self.optim.rate * rate_factor(self.optim.schedule, progress=progress, epoch=epoch)

    def means(self, sums: Mapping[str, Tensor], count: int) -> dict[str, float]:
        """Mean losses of ``count`` steps over all processes; waits for the device."""
        total: Any = self.fabric.all_reduce(torch.stack(list(sums.values())), reduce_op="mean")
        return dict(zip(sums, (total / count).tolist(), strict=True))

    def train(self, title: str) -> Outcome:
        """Steps, log lines, validations and checkpoints up to the end."""
        main, loop = self.fabric.is_global_zero, self.loop
        if self.budget.total is None or self.step < self.budget.total:
            self.task.examples.advance(self.step * loop.batch)
        with ExitStack() as stack:
            saver = stack.enter_context(Saver(self.out))
            log = checkpoint.CsvLog(self.out / checkpoint.LOG, after_step=self.step) if main else None
            console = Console(stderr=True, quiet=not main)
            bar = Progress(title, 1.0, done=self.budget.progress(self.step), console=console)
            shown = stack.enter_context(bar)

            def validate(rate: float) -> dict[str, float]:
                metrics = {}
                if log:
                    with torch.no_grad():
                        metrics = self.task.validate(self.ema.model.eval(), loop.validate_limit)
                    log.add(self.step, self.seconds(), rate, "validation", metrics)
                    shown.message(f"validation at step {self.step}: {_text(metrics)}")
                self.task.model.train()
                metrics = dict(self.fabric.broadcast(metrics))
                self.best.update(metrics, self.ema.model)
                return metrics

            sums: dict[str, Tensor] = {}
            counted, waited, validation = 0, 0.0, {}
            saved = mark = time.monotonic()
            self.task.model.train()
            while not self.best.stop and (self.budget.total is None or self.step < self.budget.total):
                progress = self.budget.progress(self.step)
                rate = self.rate(progress)
                waited += self.task.examples.advance(self.step * loop.batch)
                for name, value in self.take_step(progress).items():
                    sums[name] = sums[name] + value if name in sums else value
                counted += 1
                if self.budget.total is None:
                    sums["loss"].item()  # the speed is that of the device, not of the queue
                    self.budget.measure(self.step, self.seconds())
                    self.budget.total = self.fabric.broadcast(self.budget.total)
                if self.step % loop.log_every == 0:
                    means, elapsed = self.means(sums, counted), time.monotonic() - mark
                    means["images_per_second"] = counted * loop.batch / elapsed
                    means |= {"waiting": waited / elapsed} if waited else {}
                    if log:
                        log.add(self.step, self.seconds(), rate, "train", means)
                    shown.report(self.budget.progress(self.step), f"step {self.step}, {_text(means)}")
                    sums, counted, waited, mark = {}, 0, 0.0, time.monotonic()
                if self.step % loop.validate_every == 0:
                    paused = time.monotonic()
                    validation = validate(rate)
                    mark += time.monotonic() - paused
                if main and self.budget.total and time.monotonic() - saved >= loop.checkpoint_seconds:
                    saver.save(self.ema.model.state_dict(), self.state())
                    saved = time.monotonic()
            if main:
                saver.save(self.ema.model.state_dict(), self.state())
            if not validation or self.step % loop.validate_every:
                validation = validate(0.0)
        if main and (of_best := self.best.load(self.ema.model)):
            validation = of_best
            checkpoint.save_weights(self.ema.model.state_dict(), self.out / checkpoint.WEIGHTS)
        model = self.ema.model.cpu().eval()
        return Outcome(model, self.step, self.seconds(), validation, self.start, main)


def _text(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
