"""Images a second of training on the present device, beside what its convolutions alone allow.

    python benchmarks/bench_training.py [--precision bf16] [--compile]

A *step* is what training does: sampling, augmentation, network, losses, optimiser, averaged weights. The
*limit* is the same network forwards and backwards on one batch that is already on the device. On a CPU
the time is that of the process, so that other work on the machine counts less.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from spinelift.learn.loop.config import DeviceConfig
from spinelift.learn.loop.examples import Examples
from spinelift.learn.loop.loop import Fitting, compile_parts
from spinelift.learn.loop.train import describe, launch
from spinelift.learn.random import Random
from spinelift.learn.regressor.config import RegressorConfig
from spinelift.learn.regressor.train import RegressorTask, make_network

CONFIGS = ("default.yaml", "paper.yaml")
WARM_UP = 3


def images_per_second(work: Callable[[], object], batch: int, device: torch.device, seconds: float) -> float:
    """Images of ``work`` on a batch, over about so many seconds."""
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time

    def timed(count: int) -> float:
        began = clock()
        for _ in range(count):
            work()
        if on_gpu:
            torch.cuda.synchronize()
        return clock() - began

    each = timed(WARM_UP) and timed(WARM_UP) / WARM_UP
    count = max(3, round(seconds / each))
    return batch * count / timed(count)


def measure(
    name: str, batch: int, device: DeviceConfig, *, pairs: int, seconds: float
) -> tuple[float, float]:
    """Images a second of whole steps, and of forwards and backwards alone."""
    config = RegressorConfig.load(name).override({"loop.batch": batch})
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (pairs, 224, 224), np.uint8)
    curves = rng.normal(110, 10, (pairs, 6, 209)).astype(np.float32)
    examples = Examples(image, curves, np.full(pairs, 2.0, np.float32), people=pairs)
    model = make_network(config.network).to(memory_format=torch.channels_last)
    task = RegressorTask(config, examples, None, model)  # type: ignore[arg-type]
    fabric = launch(device)
    fit = Fitting(task, config.optim, config.loop, Path(tempfile.gettempdir()), fabric, None)
    if device.compile:
        compile_parts(model)
    model.train()
    whole = images_per_second(lambda: fit.take_step(1.0), batch, fabric.device, seconds)
    random = Random(fabric.device)
    with torch.no_grad():
        held = task.batch(examples.take(torch.arange(batch, device=examples.device)), random, 1.0)

    def alone() -> None:
        losses = fit.module(held, random)
        fit.optimizer.zero_grad(set_to_none=True)
        fabric.backward(losses["loss"])

    return whole, images_per_second(alone, batch, fabric.device, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--batches", type=int, nargs="*", help="default: 16 to 1024 on a GPU, 16 on a CPU")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    given = parser.parse_args()
    device = DeviceConfig(accelerator=given.accelerator, precision=given.precision, compile=given.compile)
    fabric = launch(device)
    print(describe(fabric, device), f"torch {torch.__version__}", platform.platform(), sep="\n")
    on_gpu = fabric.device.type == "cuda"
    if not on_gpu:
        torch.set_num_threads(1)
    unit = "images/s" if on_gpu else "images per CPU-second"
    print(f"{'network':<14} {'batch':>5} {'step':>9} {'limit':>9} {'share':>6}   {unit}")
    for name in CONFIGS:
        for batch in given.batches or ([16, 64, 256, 1024] if on_gpu else [16]):
            pairs = max(batch, 4096 if on_gpu else 64)
            try:
                whole, limit = measure(name, batch, device, pairs=pairs, seconds=given.seconds)
            except torch.cuda.OutOfMemoryError:
                print(f"{name:<14} {batch:>5} does not fit")
                break
            print(f"{name:<14} {batch:>5} {whole:>9.1f} {limit:>9.1f} {whole / limit:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
