"""One scan in, its 3D spine out: segment, crop, regress, calibrate, with ONNX Runtime and no torch."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import lru_cache, partial
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Unpack

import numpy as np

from spinelift import engine
from spinelift.bundle import Bundle, PredictionCard, default_threads, load_bundle
from spinelift.curves import CORONAL, SAGITTAL, SpineCurves
from spinelift.errors import BundleError, ConfigError, InputTypeError, SpineliftError
from spinelift.geometry.arrays import Float, Float32
from spinelift.geometry.canonical import CanonicalGrid
from spinelift.inference.calibrate import Calibrator, calibration_warnings
from spinelift.inference.prediction import Prediction
from spinelift.io import read_dxa
from spinelift.io.dxa.read import ReadOptions, Source
from spinelift.io.dxa.scan import DxaScan
from spinelift.progress import Clock
from spinelift.segment.postprocess import SpineLocation, locate_spine
from spinelift.segment.trunk import rotation_warning, trunk_rotation_deg

_READING = Lock()
"""One reader at a time: it silences Python's warnings, which quote headers, for the whole process."""


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

    def predict(self, source: Source, **options: Unpack[ReadOptions]) -> Prediction:
        """The 3D spine of one scan: of a path, bytes, an open file, a data set, an array or a ``DxaScan``.

        ``options`` are the ``spacing_mm=(row, col)`` (or ``spacing``) that pictures and arrays need, and
        ``area``: see :func:`spinelift.io.read_dxa`.

        Raises
        ------
        SpineliftError
            When the source cannot be used or holds no whole spine. For a wrong type it is also a TypeError,
            for a file that is missing a FileNotFoundError.
        """
        with _READING:
            clock = Clock("segment" if isinstance(source, DxaScan) else "read")
            scan = read_dxa(source, **options)
        if scan is not source:
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
            mean=self._calibrator.mean(location.frame), limits=tuple(self.bundle.card.limits),
            location=location, bundle=self.bundle.ref, bone=scan.bone, warnings=tuple(warnings),
            timings_ms={stage: round(1e3 * s, 2) for stage, s in seconds.items()},
        )  # fmt: skip

    def predict_many(
        self, sources: Iterable[Source], *, workers: int = 1, **options: Unpack[ReadOptions]
    ) -> Iterator[Prediction | SpineliftError]:
        """Predict many scans; yields the prediction or the error of each, in the order of the sources.

        With more than one of ``workers``, so many processes each load the networks, with the model's own
        threads: ``load_model(threads=1).predict_many(paths, workers=4)`` uses four cores. A process that dies
        costs its own scan. Sources are taken from the iterable at most 2 × ``workers`` ahead. The results do
        not depend on ``workers``.

        Raises
        ------
        SpineliftError
            At once, when ``workers`` is below 1 or ``sources`` is one source and not several.
        """
        one_source = isinstance(sources, str | bytes | PathLike) or hasattr(sources, "read")
        if one_source or not isinstance(sources, Iterable):
            do = "Pass [source], or spinelift.io.find_scans([folder]) for a folder of scans."
            expected = "a list, or another iterable, of sources"
            raise InputTypeError(found=f"one {type(sources).__name__}", expected=expected, do=do)
        if not isinstance(workers, int) or workers < 1:
            raise ConfigError(found=f"{workers!r} workers", expected="1 or more", do="Leave workers out.")
        return self._predict_many(sources, workers if workers > 1 else 0, **options)

    def _predict_many(
        self, sources: Iterable[Source], workers: int, **options: Unpack[ReadOptions]
    ) -> Iterator[Prediction | SpineliftError]:
        work = partial(self.predict, **options)
        with closing(engine.run(work, sources, workers=workers, ordered=True)) as results:
            for _, result in results:
                if isinstance(result, Exception) and not isinstance(result, SpineliftError):
                    raise result
                yield result

    def __reduce__(self) -> tuple[object, ...]:
        """Processes get the bundle and load its networks again."""
        return Model, (self.bundle, self.threads)

    def locate(self, scan: DxaScan) -> SpineLocation:
        """Where the spine of a scan lies."""
        grid = CanonicalGrid(scan.spacing, scan.bone.shape)
        (maps,) = self._segmenter(grid.resample(scan.bone)[None, None])
        location = locate_spine(maps[0], grid)
        turned = rotation_warning(trunk_rotation_deg(scan.bone, location))
        return replace(location, warnings=(*location.warnings, turned)) if turned else location

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


@lru_cache(maxsize=1)
def _cached_model(bundle: str | None) -> Model:
    return load_model(bundle)


def predict(
    source: Source, *, bundle: Path | str | None = None, **options: Unpack[ReadOptions]
) -> Prediction:
    """The 3D spine of one scan, as :meth:`Model.predict`; the model is kept for the next call."""
    return _cached_model(None if bundle is None else str(bundle)).predict(source, **options)


def predict_many(
    sources: Iterable[Source],
    *,
    workers: int = 1,
    bundle: Path | str | None = None,
    **options: Unpack[ReadOptions],
) -> Iterator[Prediction | SpineliftError]:
    """Predict many scans, as :meth:`Model.predict_many`; the model is kept for the next call."""
    model = _cached_model(None if bundle is None else str(bundle))
    return model.predict_many(sources, workers=workers, **options)


def _order_warnings(curves: SpineCurves) -> list[str]:
    to_right, to_back = -np.diff(curves.px[CORONAL], axis=0), np.diff(curves.px[SAGITTAL], axis=0)
    apart = (to_right > 0).all() and (to_back > 0).all()
    return [] if apart else ["predicted curves cross each other: the result is not a spine's shape"]
