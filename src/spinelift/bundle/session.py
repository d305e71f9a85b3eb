"""ONNX Runtime in one place: the same options for every network, and a check of what it takes and gives."""

import os
from collections.abc import Mapping
from typing import Any

import onnxruntime

from spinelift.bundle.card import Shape, Signature
from spinelift.errors import BundleError
from spinelift.geometry.arrays import Float32

onnxruntime.disable_telemetry_events()  # also where it was imported before spinelift
MAX_DEFAULT_THREADS = 4
_state = onnxruntime.capi.onnxruntime_pybind11_state
_LOAD_ERRORS = (
    _state.Fail, _state.InvalidGraph, _state.InvalidProtobuf, _state.InvalidArgument, _state.NotImplemented,
)  # fmt: skip


def default_threads() -> int:
    """The cores that this process may use, at most 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_DEFAULT_THREADS)


class OnnxNetwork:
    """A network, ready to run on the CPU. Safe to share between threads; the same input, the same output.

    ``data`` are the ONNX file's bytes, ``threads`` those of one operator (None: :func:`default_threads`). A
    :class:`BundleError` says that ONNX Runtime cannot load it, or that its signature is another one.
    """

    def __init__(self, data: bytes, name: str, signature: Signature, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise BundleError(
                found=f"a network {name} that ONNX Runtime {onnxruntime.__version__} cannot load ({error})",
                expected="an ONNX network for the CPU",
                do="Update onnxruntime, or use another bundle.",
            ) from error
        _check(f"{name} whose inputs are", session.get_inputs(), signature.input)
        _check(f"{name} whose outputs are", session.get_outputs(), signature.outputs)
        self._session: Any = session
        (self._input,) = signature.input
        self._outputs = list(signature.outputs)

    def __call__(self, array: Float32) -> tuple[Float32, ...]:
        """Outputs in the order of the signature."""
        return tuple(self._session.run(self._outputs, {self._input: array}))


def _check(what: str, nodes: Any, wanted: Mapping[str, Shape]) -> None:
    def fits(got: object, size: int | None) -> bool:  # a free size of the network has a name, not a number
        return size is None or not isinstance(got, int) or got == size

    found = {node.name: tuple(node.shape) for node in nodes}
    for name, shape in wanted.items():
        got = found.get(name)
        if got is None or len(got) != len(shape) or not all(map(fits, got, shape)):
            raise BundleError(
                found=f"a network {what} {found}",
                expected=f"{name} of shape [{', '.join(str(s or 'any') for s in shape)}]",
                do="Use a bundle made for this version of spinelift.",
            )
