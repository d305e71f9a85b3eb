"""One scan in, its 3D spine out: segment, crop, regress, calibrate, with ONNX Runtime and no torch."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from spinelift.bundle import Bundle, PredictionCard, default_threads, load_bundle
from spinelift.curves import CORONAL, SAGITTAL, SpineCurves
from spinelift.errors import BundleError, ConfigError
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float, Float32
from spinelift.geometry.canonical import CanonicalGrid
from spinelift.inference.calibrate import Calibrator, calibration_warnings
from spinelift.inference.prediction import Prediction
from spinelift.io import read_dxa
from spinelift.io.dxa.scan import DxaScan
from spinelift.progress import Clock
from spinelift.segment.postprocess import SpineLocation, locate_spine


class Model:
    """A loaded bundle. Safe to share between threads; the same input gives the same output."""

    def __init__(self, bundle: Bundle[PredictionCard], threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            do = "Leave --threads out to use all cores."
            raise ConfigError(found=f"{threads} threads", expected="1 or more", do=do)
        self.bundle = bundle
        self.threads = threads or default_threads()
        self._segmenter = bundle.network("segmenter", self.threads)
        self._regressor = bundle.network("regressor", self.threads)
        self._calibrator = Calibrator(bundle.card.calibration)

    def predict(self, scan: DxaScan | Path | str, *, spacing: Spacing | None = None) -> Prediction:
        """The 3D spine of a scan, or of the scan in a file; ``spacing`` (mm) is for files without it, as PNG.

        Raises
        ------
        SpineliftError
            When the file cannot be used or holds no whole spine.
        """
        clock = Clock("segment" if isinstance(scan, DxaScan) else "read")
        if not isinstance(scan, DxaScan):
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
        warnings = [*scan.warnings, *location.warnings, *_order_warnings(curves)]
        warnings += [*calibration_warnings(shift, share), *self._calibrator.missing()]
        return Prediction(
            scan_id=scan.scan_id, input_sha256=scan.sha256, curves=curves, half_width_mm=half_width,
            shift_score=shift, prior_share=share, spread=self._calibrator.spread(curves, scale),
            location=location, bundle=self.bundle.ref, warnings=tuple(warnings),
            timings_ms={stage: round(1e3 * s, 2) for stage, s in seconds.items()},
        )  # fmt: skip

    def locate(self, scan: DxaScan) -> SpineLocation:
        """Where the spine of a scan lies."""
        grid = CanonicalGrid(scan.spacing, scan.bone.shape)
        (maps,) = self._segmenter(grid.resample(scan.bone)[None, None])
        return locate_spine(maps[0], grid)

    def _regress(self, crop: Float32) -> tuple[Float, Float, Float]:
        """Curves and their scale [6, 209], crop px, and features [D] of a crop [224, 224]."""
        px, scale, features = (np.asarray(out[0], np.float64) for out in self._regressor(crop[None, None]))
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
    return Model(load_bundle(PredictionCard, bundle), threads)


_cached_model = lru_cache(maxsize=1)(load_model)


def predict(
    scan: DxaScan | Path | str, *, spacing: Spacing | None = None, bundle: Path | str | None = None
) -> Prediction:
    """The 3D spine of one scan; the model is kept for the next call."""
    return _cached_model(None if bundle is None else str(bundle)).predict(scan, spacing=spacing)


def _order_warnings(curves: SpineCurves) -> list[str]:
    to_right, to_back = -np.diff(curves.px[CORONAL], axis=0), np.diff(curves.px[SAGITTAL], axis=0)
    apart = (to_right > 0).all() and (to_back > 0).all()
    return [] if apart else ["predicted curves cross each other: the result is not a spine's shape"]
