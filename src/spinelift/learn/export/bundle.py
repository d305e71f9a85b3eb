"""From two training runs to a bundle: ONNX, weights, calibration, figures, card."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from spinelift.bundle.bundle import hash_files, write_card
from spinelift.bundle.card import (
    REGRESSOR_NAME,
    SEGMENTER_NAME,
    Calibration,
    Card,
    Metric,
    Network,
    Training,
)
from spinelift.errors import BundleError
from spinelift.evaluate.onnx import load_regressor_session
from spinelift.evaluate.pairs import evaluate_pairs
from spinelift.geometry import CROP_SIZE
from spinelift.geometry.canonical import GRID_SHAPE
from spinelift.inference.calibrate import Calibrator
from spinelift.learn.export.regressor import export_onnx
from spinelift.learn.loop.checkpoint import WEIGHTS
from spinelift.learn.loop.run import RECORD
from spinelift.learn.regressor.calibrate import calibrate, shrunk
from spinelift.learn.regressor.train import load_regressor
from spinelift.learn.segmenter.train import load_segmenter
from spinelift.store.rows import Pairs, PairStore, load_pairs
from spinelift.version import __version__

LIMITS = (
    "Trained on simulated people only; for research, not for diagnosis.",
    "Supine total-body DXA of adults in antero-posterior view, T1 to L5; nothing of standing posture.",
    "Depth is measured from the spine's own mean; axial rotation of vertebrae is not estimated.",
    "Metal, fused or missing vertebrae and transitional levels were simulated crudely or not at all.",
)


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
    licence: str = "Apache-2.0"
    limits: Sequence[str] = LIMITS
    limit: int | None = None
    iou_step_mm: float | None = 1.0


def make_bundle(plan: BundlePlan, out: Path) -> Card:
    """Write the bundle's folder; an existing one is replaced once the new one is whole."""
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    regressor, config = load_regressor(plan.regressor)
    segmenter, segmenter_config = load_segmenter(plan.segmenter)
    shape = (CROP_SIZE, CROP_SIZE)
    calibration_pairs, test = load_pairs([plan.calibration], limit=plan.limit), load_pairs([plan.test])
    _must_be_apart(calibration_pairs, test)
    mean = regressor.get_buffer("mean_curves").double().numpy()
    network = shrunk(regressor, mean, calibration_pairs)
    export_onnx(network, part / REGRESSOR_NAME, shape=shape, outputs=("curves", "scale", "features"))
    export_onnx(segmenter, part / SEGMENTER_NAME, shape=GRID_SHAPE, outputs=("maps",))
    shutil.copyfile(plan.regressor / WEIGHTS, part / "regressor.safetensors")
    shutil.copyfile(plan.segmenter / WEIGHTS, part / "segmenter.safetensors")

    source = f"{len(calibration_pairs)} people of {_about(plan.calibration)}"
    calibration = calibrate(network, calibration_pairs, source=source)
    card = Card(
        name=plan.name,
        version=plan.version,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        spinelift_version=__version__,
        networks={
            "regressor": _network(regressor, config.network),
            "segmenter": _network(segmenter, segmenter_config.network),
        },
        training=_training(plan, network.gains),
        metrics=measure(part, plan, test, calibration),
        calibration=calibration,
        limits=list(plan.limits),
        licence=plan.licence,
        files=hash_files(part),
    )
    write_card(part, card)
    shutil.rmtree(out, ignore_errors=True)
    part.replace(out)
    return card


def measure(folder: Path, plan: BundlePlan, test: Pairs, calibration: Calibration) -> list[Metric]:
    """Figures of the exported regressor on the test people, as the card holds them."""
    rows = evaluate_pairs(
        load_regressor_session((folder / REGRESSOR_NAME).read_bytes()),
        test,
        load_pairs(plan.baselines, limit=plan.limit) if plan.baselines else None,
        factors=Calibrator(calibration).factors,
        iou_step_mm=plan.iou_step_mm,
    )
    return [row.to_card(_about(plan.test)) for row in rows]


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


def _network(model: torch.nn.Module, config: Any) -> Network:
    settings = {
        k: v if isinstance(v, str | int | float | bool) else json.dumps(v)
        for k, v in config.model_dump(mode="json").items()
    }
    return Network(
        architecture=type(model).__name__,
        parameters=sum(p.numel() for p in model.parameters()),
        settings=settings,
    )


def _training(plan: BundlePlan, gains: tuple[float, float]) -> Training:
    runs = {
        name: json.loads((path / RECORD).read_text())
        for name, path in (("regressor", plan.regressor), ("segmenter", plan.segmenter))
    }
    main, other = runs["regressor"], runs["segmenter"]
    details: dict[str, str | int | float | bool] = {
        "regressor_examples": main["examples"],
        "segmenter_people": other["people"],
        "segmenter_steps": other["steps"],
        "segmenter_seconds": other["seconds"],
        "gain_lean": round(gains[0], 4),
        "gain_shape": round(gains[1], 4),
        "init_from": main["init_from"] or "random weights",
        **{f"version_{k}": v for k, v in main["versions"].items()},
    }
    return Training(
        data=", ".join(main["data"]),
        people=main["people"],
        steps=main["steps"],
        seconds=main["seconds"],
        seed=main["seed"],
        details=details,
    )
