"""From two training runs to a bundle: ONNX, weights, calibration, figures, card."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spinelift.bundle import OnnxNetwork, PredictionCard
from spinelift.bundle.card import Calibration, Metric
from spinelift.bundle.kinds import DxaPreprocessing
from spinelift.errors import BundleError
from spinelift.evaluate.pairs import evaluate_pairs
from spinelift.evaluate.table import Row
from spinelift.files import whole_folder
from spinelift.geometry import CROP_SIZE
from spinelift.geometry.canonical import CANONICAL_SHAPE
from spinelift.inference.calibrate import Calibrator
from spinelift.learn.export.card import network_of, read_record, training_of, write_new_card
from spinelift.learn.export.onnx import export_onnx, smooth_images
from spinelift.learn.loop.checkpoint import WEIGHTS
from spinelift.learn.regressor.calibrate import calibrate, shrunk
from spinelift.learn.regressor.train import load_regressor
from spinelift.learn.segmenter.train import load_segmenter
from spinelift.store.rows import Pairs, PairStore, load_pairs

_SIGNATURES = DxaPreprocessing().signatures()


@dataclass(frozen=True)
class BundlePlan:
    """What goes into a bundle. ``baselines`` are the stores that baselines are fitted to."""

    name: str
    version: str
    regressor: Path
    segmenter: Path
    calibration: Path
    test: Path
    baselines: Sequence[Path] = ()
    limit: int | None = None
    iou_step_mm: float | None = 1.0


def make_bundle(plan: BundlePlan, out: Path) -> PredictionCard:
    """Write the bundle's folder; an existing one is replaced once the new one is whole."""
    regressor, config = load_regressor(plan.regressor)
    segmenter, segmenter_config = load_segmenter(plan.segmenter)
    calibration_pairs, test = load_pairs([plan.calibration], limit=plan.limit), load_pairs([plan.test])
    _must_be_apart(calibration_pairs, test)
    mean = regressor.get_buffer("mean_curves").double().numpy()
    network = shrunk(regressor, mean, calibration_pairs)
    source = f"{len(calibration_pairs)} people of {_about(plan.calibration)}"
    runs = read_record(plan.regressor), read_record(plan.segmenter)
    with whole_folder(out) as part:
        part.mkdir(parents=True)
        crop, grid = smooth_images(2, (CROP_SIZE, CROP_SIZE)), smooth_images(2, CANONICAL_SHAPE)
        export_onnx(network, part / "regressor.onnx", crop, _SIGNATURES["regressor"])
        export_onnx(segmenter, part / "segmenter.onnx", grid, _SIGNATURES["segmenter"])
        shutil.copyfile(plan.regressor / WEIGHTS, part / "regressor.safetensors")
        shutil.copyfile(plan.segmenter / WEIGHTS, part / "segmenter.safetensors")
        calibration = calibrate(network, calibration_pairs, source=source)
        networks = {
            "regressor": network_of(regressor, config.network),
            "segmenter": network_of(segmenter, segmenter_config.network),
        }
        details = {"regressor_examples": runs[0]["examples"]}
        details |= {f"segmenter_{name}": runs[1][name] for name in ("people", "steps", "seconds")}
        details |= {"gain_lean": round(network.gains[0], 4), "gain_shape": round(network.gains[1], 4)}
        return write_new_card(
            PredictionCard, part, [item.name for item in part.iterdir()], name=plan.name,
            version=plan.version, networks=networks, training=training_of(runs[0], **details),
            metrics=measure(part, plan, test, calibration), calibration=calibration,
        )  # fmt: skip


def measure(folder: Path, plan: BundlePlan, test: Pairs, calibration: Calibration) -> list[Metric]:
    """Figures of the exported regressor on the test people, as the card holds them."""
    rows = evaluate_pairs(
        OnnxNetwork((folder / "regressor.onnx").read_bytes(), "regressor", _SIGNATURES["regressor"]),
        test,
        load_pairs(plan.baselines, limit=plan.limit) if plan.baselines else None,
        factors=Calibrator(calibration).factors,
        iou_step_mm=plan.iou_step_mm,
    )
    return [_metric(row, _about(plan.test)) for row in rows]


def _metric(row: Row, dataset: str) -> Metric:
    return Metric(
        name=row.name,
        dataset=dataset,
        value=round(row.model.value, 4),
        unit=row.unit,
        spines=row.spines,
        interval95=(round(row.model.low, 4), round(row.model.high, 4)),
        baselines={name: round(e.value, 4) for name, e in row.baselines.items()},
    )


def _must_be_apart(calibration: Pairs, test: Pairs) -> None:
    shared = set(calibration.eid.tolist()) & set(test.eid.tolist())
    if shared:
        raise BundleError(
            found=f"{len(shared)} people in both the calibration and the test store",
            expected="different people",
            do="Simulate one of the two with another seed and other identifiers.",
        )


def _about(store: Path) -> str:
    about = PairStore.open(store).about
    return f"{store.name} ({', '.join(f'{k} {v}' for k, v in about.items())})" if about else store.name
