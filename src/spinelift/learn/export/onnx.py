"""Networks written as ONNX: what the network computes, and nothing of the machine that exported it."""

from pathlib import Path
from typing import Any

import onnx


def save_onnx(program: Any, path: Path) -> None:
    """Write what ``torch.onnx.export`` gave, without the stack traces that name the maker's folders."""
    path.write_bytes(stripped(program.model_proto).SerializeToString())


def stripped(model: Any) -> Any:
    """The ``onnx.ModelProto`` without documentation and metadata, in place."""
    assert isinstance(model, onnx.ModelProto)
    graph = model.graph
    parts = [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]
    for function in model.functions:
        parts += [*function.node, *function.value_info]
    for part in (model, graph, *parts, *model.functions):
        part.doc_string = ""
        del part.metadata_props[:]
    return model
