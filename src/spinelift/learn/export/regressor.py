"""Networks as ONNX files that give what the networks give."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from spinelift.errors import BundleError
from spinelift.learn.export.onnx import save_onnx

TOLERANCE = 1e-3
"""Largest difference between ONNX Runtime and torch, in crop px or probability."""


def export_onnx(model: nn.Module, path: Path, *, shape: tuple[int, int], outputs: Sequence[str]) -> None:
    """Write ``model`` for images float32 [N, 1, *shape] and check it on noise of another batch size."""
    model = model.eval().to(memory_format=torch.contiguous_format)
    example = torch.rand(2, 1, *shape) * 255
    program = torch.onnx.export(
        model,
        (example,),
        input_names=["image"],
        output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim("n")},),
        dynamo=True,
        verbose=False,
    )
    save_onnx(program, path)
    check_onnx(model, path, shape=shape)


def check_onnx(model: nn.Module, path: Path, *, shape: tuple[int, int], seed: int = 0) -> None:
    """Compare on smooth random images; refuse a file that differs by more than ``TOLERANCE``."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(3, 1, shape[0] // 16, shape[1] // 16, generator=generator) * 255
    image = nn.functional.interpolate(coarse, shape, mode="bilinear")
    with torch.inference_mode():
        wanted = model(image)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    got = session.run(None, {"image": image.numpy()})
    wanted = (wanted,) if isinstance(wanted, torch.Tensor) else wanted
    worst = max(float(np.abs(w.numpy() - g).max()) for w, g in zip(wanted, got, strict=True))
    if not worst <= TOLERANCE:
        raise BundleError(
            found=f"{path.name} that differs from the network by {worst:.2g}",
            expected=f"at most {TOLERANCE}",
            do="Report this with the versions of torch, onnx and onnxruntime.",
        )
