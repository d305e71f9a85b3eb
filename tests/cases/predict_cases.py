"""A scan with a known spine, and a tiny bundle whose networks really find it: no training needed."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from spinelift.bundle import PredictionCard, hash_files, write_card
from spinelift.bundle.card import Calibration, Shift, Training
from spinelift.geometry import Spacing
from spinelift.geometry.canonical import CANONICAL_MM
from spinelift.io.dxa.scan import DxaScan

SPACING = Spacing(2.427, 2.419)
SHAPE = (791, 272)
TOP_XZ = (310.0, 330.0)
BOTTOM_XZ = (338.0, 830.0)
HALF_WIDTH = 19.2
FEATURES = 4


def spine_image(
    top: tuple[float, float] = TOP_XZ, bottom: tuple[float, float] = BOTTOM_XZ, shape: tuple[int, int] = SHAPE
) -> NDArray[np.uint8]:
    """A slanted bright column on a grey body that is wider on the patient's left: nothing symmetric."""
    z = np.arange(shape[0])[:, None] * SPACING.row_mm
    x = np.arange(shape[1])[None] * SPACING.col_mm
    image = np.where((x > 100) & (x < 560) & (z > 60) & (z < 1800), 90.0, 0.0)
    share = (z - top[1]) / (bottom[1] - top[1])
    centre = top[0] + share * (bottom[0] - top[0])
    column = (np.abs(x - centre) <= HALF_WIDTH) & (share >= 0) & (share <= 1)
    image[column] = 210
    image += np.where(image > 0, np.random.default_rng(5).normal(0, 4, shape), 0)
    return np.clip(image, 0, 255).astype(np.uint8)


def spine_scan(**kwargs: tuple[float, float]) -> DxaScan:
    image = spine_image(**kwargs)
    return DxaScan("1234567_2", image.astype(np.float32), None, SPACING, "ab" * 32)


def spine_png(path: Path, **kwargs: tuple[float, float]) -> Path:
    Image.fromarray(spine_image(**kwargs)).save(path)
    return path


def curves_px() -> NDArray[np.float32]:
    """An asymmetric spine in crop px [6, 209]."""
    t = np.linspace(0, 1, 209)
    centre = 106 + 12 * t + 3 * np.sin(2 * np.pi * t)
    depth = 9 * np.cos(1.5 * np.pi * t) - 4 * t
    depth -= depth.mean()
    return np.stack([centre + 7, centre, centre - 8, depth - 5, depth, depth + 6]).astype(np.float32)


def _model(
    nodes: list[onnx.NodeProto],
    arrays: dict[str, NDArray[np.generic]],
    outputs: dict[str, list[object]],
    size: tuple[int, int],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "fake",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, *size])],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["N", *v]) for k, v in outputs.items()],
        [numpy_helper.from_array(v, k) for k, v in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def segmenter_onnx() -> bytes:
    """Mask: brighter than 150. Ends: correlation of the mask with a column that begins, or ends, there."""
    half, reach = round(HALF_WIDTH / CANONICAL_MM), 10
    across = np.maximum(1 - np.abs(np.arange(-half, half + 1)) / (half + 1), 0)
    down = np.sign(np.arange(-reach, reach + 1))
    kernel = (down[:, None] * across[None]).astype(np.float32)
    kernel /= kernel[kernel > 0].sum()
    weights = np.stack([kernel, -kernel])[:, None]
    nodes = [
        helper.make_node("Sub", ["image", "cut"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "gain"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["mask"]),
        helper.make_node("Conv", ["mask", "weights"], ["match"], pads=[reach, half, reach, half]),
        helper.make_node("Relu", ["match"], ["positive"]),
        helper.make_node("Pow", ["positive", "sharp"], ["heat"]),
        helper.make_node("Concat", ["mask", "heat"], ["maps"], axis=1),
    ]
    arrays = {
        "cut": np.array(150, np.float32),
        "gain": np.array(0.2, np.float32),
        "weights": weights.astype(np.float32),
        "sharp": np.array(8, np.float32),
    }
    return _model(nodes, arrays, {"maps": [3, 832, 320]}, (832, 320))


def regressor_onnx(scale: float = 1.5) -> bytes:
    """The same curves for every crop; features are the means of the crop's four quarters."""
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[112, 112], strides=[112, 112]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Unsqueeze", ["mean", "axis"], ["wide"]),
        helper.make_node("Mul", ["wide", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "c"], ["curves"]),
        helper.make_node("Add", ["nothing", "s"], ["scale"]),
    ]
    arrays = {
        "axis": np.array([2], np.int64),
        "zero": np.array(0, np.float32),
        "c": curves_px()[None],
        "s": np.full((1, 6, 209), scale, np.float32),
    }
    outputs: dict[str, list[object]] = {"curves": [6, 209], "scale": [6, 209], "features": [FEATURES]}
    return _model(nodes, arrays, outputs, (224, 224))


def calibration(features: NDArray[np.floating] | None = None) -> Calibration:
    """Factors 2 everywhere, two residual modes, unit whitening about ``features``, a prior of ±10 mm."""
    mean = np.full(FEATURES, 90.0) if features is None else np.asarray(features, np.float64)
    t = np.linspace(0, 1, 209)
    modes = np.zeros((2, 6, 209))
    modes[0, 3:] = np.cos(np.pi * t)
    modes[1, :3] = np.sin(np.pi * t)
    return Calibration(
        interval90=np.full((6, 209), 2.0).tolist(),
        shift=Shift(mean=mean.tolist(), whitening=np.eye(FEATURES).tolist(), quantiles={"0.99": 20.0}),
        residual_modes=modes.reshape(2, -1).tolist(),
        mean_curves=curves_px().tolist(),
        prior_interval90_mm=np.full((6, 209), 10.0).tolist(),
        source="nobody",
    )


def write_bundle(folder: Path, calib: Calibration | None = None, *, scale: float = 1.5) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "segmenter.onnx").write_bytes(segmenter_onnx())
    (folder / "regressor.onnx").write_bytes(regressor_onnx(scale))
    card = PredictionCard(
        name="fake",
        version="0.0.1",
        created="2026-01-01",
        spinelift_version="0.1.0",
        training=Training(data="none", people=0, steps=0, seconds=0, seed=0),
        calibration=calibration() if calib is None else calib,
        limits=["finds bright columns only"],
        licence="Apache-2.0",
        files=hash_files(folder, ("segmenter.onnx", "regressor.onnx")),
    )
    write_card(folder, card)
    return folder
