"""One scan in, its 3D spine out: segment, crop, regress, calibrate, with ONNX Runtime and no torch."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from spinelift.bundle.bundle import Bundle
from spinelift.curves import Curve, SpineCurves
from spinelift.errors import BundleError, ConfigError
from spinelift.geometry import CROP_SIZE, SPINE_ROWS, Spacing
from spinelift.geometry.canonical import GRID_SHAPE, CanonicalGrid
from spinelift.inference.calibrate import Calibrator, calibration_warnings
from spinelift.inference.prediction import Prediction
from spinelift.io.dxa.scan import DxaScan
from spinelift.progress import Clock
from spinelift.segment.postprocess import SpineLocation, locate_spine

Array = NDArray[np.float32]

MAX_DEFAULT_THREADS = 4
_state = onnxruntime.capi.onnxruntime_pybind11_state
_LOAD_ERRORS = (
    _state.Fail,
    _state.InvalidGraph,
    _state.InvalidProtobuf,
    _state.InvalidArgument,
    _state.NotImplemented,
)
_Shapes = dict[str, list[int | None]]
_SEGMENTER: tuple[_Shapes, _Shapes] = ({"image": [1, *GRID_SHAPE]}, {"maps": [3, *GRID_SHAPE]})
_REGRESSOR: tuple[_Shapes, _Shapes] = (
    {"image": [1, CROP_SIZE, CROP_SIZE]},
    {"curves": [len(Curve), SPINE_ROWS], "scale": [len(Curve), SPINE_ROWS], "features": [None]},
)


class Model:
    """A loaded bundle. Safe to share between threads; the same input gives the same output."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(
                found=f"{threads} threads", expected="1 or more", do="Leave --threads out to use all cores."
            )
        self.bundle = bundle
        self.threads = threads or min(_usable_cores(), MAX_DEFAULT_THREADS)
        self._segmenter = _session(bundle.segmenter, "segmenter", self.threads)
        self._regressor = _session(bundle.regressor, "regressor", self.threads)
        self._calibrator = Calibrator(bundle.card.calibration)

    def predict(self, scan: DxaScan | Path | str, *, spacing: Spacing | None = None) -> Prediction:
        """The 3D spine of a scan, or of the scan in a file.

        ``spacing`` (mm) is for files that do not hold it, such as PNG.

        Raises
        ------
        SpineliftError
            When the file cannot be used or holds no whole spine.
        """
        clock = Clock("segment" if isinstance(scan, DxaScan) else "read")
        if not isinstance(scan, DxaScan):
            from spinelift.io import read_dxa

            scan = read_dxa(Path(scan), spacing=spacing)
            clock.start("segment")
        location = self.locate(scan)
        clock.start("crop")
        crop = location.frame.crop(scan.bone)
        clock.start("regress")
        px, scale, features = self._regress(crop)
        curves = SpineCurves(px, location.frame)
        half_width = self._calibrator.half_width_mm(scale, location.frame.mm_per_px)
        shift = self._calibrator.shift_score(features)
        share = self._calibrator.prior_share(half_width)
        seconds = clock.stop()
        warnings = (
            *scan.warnings,
            *location.warnings,
            *_order_warnings(curves),
            *calibration_warnings(shift, share),
            *self._calibrator.missing(),
        )
        return Prediction(
            scan_id=scan.scan_id,
            input_sha256=scan.sha256,
            curves=curves,
            half_width_mm=half_width,
            shift_score=shift,
            prior_share=share,
            spread=self._calibrator.spread(curves, scale),
            location=location,
            bundle=self.bundle.ref,
            warnings=warnings,
            timings_ms={stage: round(1e3 * s, 2) for stage, s in seconds.items()},
        )

    def locate(self, scan: DxaScan) -> SpineLocation:
        """Where the spine of a scan lies."""
        rows, cols = scan.bone.shape
        grid = CanonicalGrid(scan.spacing, (rows, cols))
        (maps,) = self._segmenter.run(["maps"], {"image": grid.resample(scan.bone)[None, None]})
        return locate_spine(maps[0], grid)

    def _regress(self, crop: Array) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        outputs = self._regressor.run(["curves", "scale", "features"], {"image": crop[None, None]})
        px, scale, features = (np.asarray(out[0], np.float64) for out in outputs)
        if not (np.isfinite(px).all() and np.isfinite(scale).all() and np.isfinite(features).all()):
            raise BundleError(
                found="a regressor that gives numbers which are not finite",
                expected="finite curves",
                do="Use another bundle, and report the scan's shape and spacing.",
            )
        return px, scale, features


def load_model(bundle: Path | str | None = None, *, threads: int | None = None) -> Model:
    """Load a bundle (folder, zip, or None for the default one), verified, ready to predict.

    ``threads`` are ONNX Runtime's for one operator; None means the usable cores, at most 4.
    """
    return Model(Bundle.load(bundle), threads)


@lru_cache(maxsize=1)
def _cached_model(bundle: str | None) -> Model:
    return load_model(bundle)


def predict(
    scan: DxaScan | Path | str, *, spacing: Spacing | None = None, bundle: Path | str | None = None
) -> Prediction:
    """The 3D spine of one scan; the model is kept for the next call."""
    return _cached_model(None if bundle is None else str(bundle)).predict(scan, spacing=spacing)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _session(network: bytes, name: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except _LOAD_ERRORS as error:
        raise BundleError(
            found=f"a {name} that ONNX Runtime {onnxruntime.__version__} cannot load ({error})",
            expected="an ONNX network for the CPU",
            do="Update onnxruntime, or use another bundle.",
        ) from error
    _check_signature(session, name, _SEGMENTER if name == "segmenter" else _REGRESSOR)
    return session


def _check_signature(
    session: onnxruntime.InferenceSession, name: str, signature: tuple[_Shapes, _Shapes]
) -> None:
    for kind, wanted, nodes in (
        ("input", signature[0], session.get_inputs()),
        ("output", signature[1], session.get_outputs()),
    ):
        found = {node.name: list(node.shape)[1:] for node in nodes}
        for key, shape in wanted.items():
            got = found.get(key)
            if got is None or len(got) != len(shape) or not all(map(_fits, got, shape)):
                raise BundleError(
                    found=f"a {name} whose {kind}s are {found}",
                    expected=f"{kind} {key} with shape [N, {', '.join(str(s or 'D') for s in shape)}]",
                    do="Use a bundle made for this version of spinelift.",
                )


def _fits(got: object, wanted: int | None) -> bool:
    return wanted is None or not isinstance(got, int) or got == wanted


def _order_warnings(curves: SpineCurves) -> list[str]:
    px = curves.px
    apart = (
        (px[Curve.LEFT] > px[Curve.CENTRE]).all()
        and (px[Curve.CENTRE] > px[Curve.RIGHT]).all()
        and (px[Curve.ANTERIOR] < px[Curve.SAGITTAL]).all()
        and (px[Curve.SAGITTAL] < px[Curve.POSTERIOR]).all()
    )
    return [] if apart else ["predicted curves cross each other: the result is not a spine's shape"]
