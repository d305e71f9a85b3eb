"""A step of every task on a device: nothing in the wrong place, and nothing that waits for the device.

CUDA is stood in for by fake tensors, which know their device and shape and compute nothing.
"""

from functools import partial

import numpy as np
import pytest
import torch
from store_cases import make_pairs, make_scans
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spinelift.learn.aligner.config import AlignerConfig
from spinelift.learn.aligner.encoder import Aligner
from spinelift.learn.aligner.train import AlignerTask
from spinelift.learn.loop.config import OptimConfig
from spinelift.learn.loop.examples import Examples
from spinelift.learn.loop.loop import Fitting
from spinelift.learn.loop.task import Step
from spinelift.learn.loop.train import launch
from spinelift.learn.mri_segmenter.config import MriSegmenterConfig
from spinelift.learn.mri_segmenter.data import MriPerson
from spinelift.learn.mri_segmenter.network import SliceNetwork
from spinelift.learn.mri_segmenter.train import Slices, SliceTask
from spinelift.learn.random import Random
from spinelift.learn.regressor.config import RegressorConfig
from spinelift.learn.regressor.train import RegressorTask, make_network
from spinelift.learn.segmenter.config import SegmenterConfig, WindowConfig
from spinelift.learn.segmenter.train import SegmenterTask
from spinelift.learn.segmenter.unet import Segmenter
from spinelift.store.rows import load_pairs, load_scans

WAITING = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "linalg_inv_ex",
    "_linalg_check_errors",
    "unique",
}
"""Operations whose result decides a shape or a Python value: the host waits for the device."""


class NothingWaits(TorchDispatchMode):
    """Fails on an operation that waits for the device, mixes devices or copies from one to another."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in WAITING, f"{name} waits for the device"
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        masks = [t for t in tree_leaves(args[1:]) if isinstance(t, torch.Tensor) and t.dtype == torch.bool]
        assert not (name in ("index", "index_put_", "index_put") and masks), "a boolean index waits"
        assert len({t.device for t in tensors}) <= 1, f"{name} of tensors on two devices"
        out = func(*args, **(kwargs or {}))
        ends = {t.device for t in tree_leaves(out) if isinstance(t, torch.Tensor)}
        assert not tensors or ends <= {tensors[0].device}, f"{name} copies from one device to another"
        return out


TONES = (
    "curve", "saturate", "keep_air", "field", "local", "blur", "strong_blur", "noise", "grain", "bone_grain",
    "smear", "lines", "patches", "missing", "degrade",
)  # fmt: skip


def regressor(folder, config):
    """All augmentations on every image, so that no branch is missed."""
    everything = {"strangers": 1.0, "scramble": 1.0, "plain": 0.0, "ramp": 0.0}
    config = config.override({"augment": everything | {"tone": dict.fromkeys(TONES, 1.0)}})
    pairs = load_pairs([make_pairs(folder / "pairs.zarr", 8, 1)])
    examples = Examples(pairs.image, pairs.curves, pairs.mm_per_px, pairs.valid, people=8)
    return RegressorTask(config, examples, pairs, make_network(config.network))


def rows(folder):
    return regressor(folder, RegressorConfig.load("smoke.yaml"))


def posterior(folder):
    return regressor(folder, RegressorConfig.load("smoke.yaml").override({"network": {"head": "posterior"}}))


def paper(folder):
    network = {"kind": "paper", "backbone": "resnet10t", "pretrained": False, "bot_width": 32, "heads": 2}
    return regressor(folder, RegressorConfig.load("paper.yaml").override({"network": network}))


def segmenter(folder, window=None):
    augment = dict.fromkeys(("cut", "curve", "field", "blur", "noise", "patches"), 1.0)
    config = SegmenterConfig.load("segmenter_smoke.yaml").override({"augment": augment, "window": window})
    scans = load_scans([make_scans(folder / "scans.zarr", 8, 1)])
    examples = Examples(scans.image, scans.mask, scans.ends, people=8, rows=np.arange(8))
    return SegmenterTask(config, examples, scans, Segmenter(config.network))


def aligner(folder):
    config = AlignerConfig.load("align.yaml")
    rng = np.random.default_rng(1)
    dxa = rng.integers(0, 255, (8, *config.canvas.dxa), np.uint8)
    mri = rng.integers(0, 255, (8, 2, *config.canvas.mri), np.uint8)
    return AlignerTask(config, Examples(dxa, mri, people=8), None, Aligner(config.encoder))


def slices(folder):
    rng = np.random.default_rng(1)
    pixels, mask = (rng.integers(0, 255, (*n, 96, 96), np.uint8) for n in ((2, 12), (12,)))
    config = MriSegmenterConfig.load("mri_segmenter.yaml")
    people = [MriPerson(pixels, mask, np.array([2.0, 9.0]))] * 2
    return SliceTask(config, Slices(people, config.heights), None, SliceNetwork(config.network))


TASKS = [
    rows,
    posterior,
    paper,
    segmenter,
    partial(segmenter, window=WindowConfig(whole=0.0).model_dump()),
    aligner,
    slices,
]
NAMES = ["rows", "posterior", "paper", "segmenter", "windows", "aligner", "slices"]


def fit_of(task, tmp_path, device="cpu"):
    loop = task.config.loop.model_copy(update={"batch": 4, "ema": 0.5})
    fabric = launch(task.config.device.model_copy(update={"accelerator": device}))
    return Fitting(task, OptimConfig(rate=1e-3), loop, tmp_path, fabric, None)


@pytest.mark.parametrize("make", TASKS, ids=NAMES)
def test_a_step_does_not_wait(make, tmp_path):
    fit = fit_of(make(tmp_path), tmp_path)
    before = [p.detach().clone() for p in fit.task.model.parameters()]
    with NothingWaits():
        losses = fit.take_step(1.0)
    assert torch.isfinite(losses["loss"])
    after = fit.task.model.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("make", TASKS, ids=NAMES)
def test_a_step_keeps_to_its_device(make, tmp_path):
    task = make(tmp_path)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        given = [mode.from_tensor(t).to("cuda") for t in task.examples.take(torch.arange(4))]
        task.model.to("cuda")
        random = Random()
        random.device = torch.device("cuda")
        with NothingWaits():
            batch = task.batch(tuple(given), random, 1.0)
            losses = Step(task)(batch, random)
    assert {loss.device.type for loss in losses.values()} == {"cuda"}


def test_the_check_sees_what_waits():
    x = torch.ones(3)
    for wrong in (lambda: x[x > 0], lambda: float(x.sum()), lambda: x.nonzero()):
        with pytest.raises(AssertionError, match="wait"), NothingWaits():
            wrong()
    with FakeTensorMode(allow_non_fake_inputs=True):
        on_gpu = torch.ones(3, device="cuda")
        for wrong in (
            lambda: torch.where(on_gpu > 0, torch.zeros(()), on_gpu),
            lambda: torch.tensor([1.0], device="cuda"),
            lambda: on_gpu.cpu(),
        ):
            with pytest.raises(AssertionError, match="device"), NothingWaits():
                wrong()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("make", TASKS, ids=NAMES)
def test_a_step_does_not_wait_for_a_gpu(make, tmp_path):
    fit = fit_of(make(tmp_path), tmp_path, "gpu")
    fit.take_step(1.0)
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        losses = fit.take_step(1.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(losses["loss"])
