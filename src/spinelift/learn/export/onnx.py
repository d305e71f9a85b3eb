"""Networks written as ONNX: what the network computes, and nothing of the machine that exported it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn

from spinelift.bundle.card import Signature
from spinelift.bundle.session import OnnxNetwork
from spinelift.errors import BundleError
from spinelift.files import write_whole

TOLERANCE = 1e-3
"""Largest difference between ONNX Runtime and torch, in crop px, probability, or feature."""
LARGEST = 4096
"""Bound of the free axis while exporting; ONNX Runtime does not hold to it."""


def smooth_images(count: int, shape: tuple[int, int]) -> Tensor:
    """Random images [count, 1, *shape] of 0 to 255 without fine noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 1, shape[0] // 16, shape[1] // 16, generator=generator) * 255
    return nn.functional.interpolate(coarse, shape, mode="bilinear")


def export_onnx(
    model: nn.Module, path: Path, example: Tensor, signature: Signature, *, free: int = 0
) -> None:
    """Write ``model`` for inputs like ``example``, of any size along the axis ``free``, and check it.

    A :class:`BundleError` says that the file differs from the network by more than ``TOLERANCE`` on the
    example and one more along the free axis, or that its inputs or outputs are not those of the signature.
    """
    model = model.eval().to(memory_format=torch.contiguous_format)
    (name,) = signature.input
    program = torch.onnx.export(
        model, (example,), input_names=[name], output_names=list(signature.outputs), dynamo=True,
        dynamic_shapes=({free: torch.export.Dim("n", min=1, max=LARGEST)},), verbose=False,
    )  # fmt: skip
    assert program is not None
    data = _merged(_stripped(program.model_proto)).SerializeToString()
    longer = torch.cat([example, example.narrow(free, 0, 1)], free)
    with torch.inference_mode():
        outputs = model(longer)
    wanted = (outputs,) if isinstance(outputs, Tensor) else outputs
    got = OnnxNetwork(data, path.stem, signature)(longer.numpy())
    worst = max(float(np.abs(w.numpy() - g).max()) for w, g in zip(wanted, got, strict=True))
    if not worst <= TOLERANCE:
        raise BundleError(
            found=f"{path.name} that differs from the network by {worst:.2g}",
            expected=f"at most {TOLERANCE}",
            do="Report this with the versions of torch, onnx and onnxruntime.",
        )
    write_whole(path, data)


def _stripped(model: Any) -> Any:
    """The ``onnx.ModelProto`` without stack traces and metadata, which name the maker's folders; in place."""
    assert isinstance(model, onnx.ModelProto)
    graph = model.graph
    parts = [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]
    for function in model.functions:
        parts += [*function.node, *function.value_info]
    for part in (model, graph, *parts, *model.functions):
        part.doc_string = ""
        del part.metadata_props[:]
    return model


def _merged(model: Any) -> Any:
    """The model with each constant stored once: the exporter writes one for each use; in place."""
    graph = model.graph
    first: dict[tuple[Any, ...], str] = {}
    names: dict[str, str] = {}
    for tensor in list(graph.initializer):
        key = (tensor.data_type, tuple(tensor.dims), onnx.numpy_helper.to_array(tensor).tobytes())
        names[tensor.name] = first.setdefault(key, tensor.name)
        if names[tensor.name] != tensor.name:
            graph.initializer.remove(tensor)
    for node in graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = names.get(name, name)
    kept = {tensor.name for tensor in graph.initializer} | {o for node in graph.node for o in node.output}
    for value in [v for v in graph.value_info if v.name not in kept]:
        graph.value_info.remove(value)
    return model
