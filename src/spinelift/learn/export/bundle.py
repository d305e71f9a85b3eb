"""From trained networks to a bundle: ONNX, weights, calibration, figures, card."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from spinelift.bundle import PEOPLE, OnnxNetwork, PredictionCard, load_bundle
from spinelift.bundle.card import CARD_NAME, Calibration, Metric, Network, Training
from spinelift.bundle.kinds import DxaPreprocessing
from spinelift.errors import BundleError
from spinelift.evaluate.bootstrap import Estimate
from spinelift.evaluate.pairs import evaluate_pairs, refuse_empty
from spinelift.evaluate.people import count_people, hash_people, join_people, refuse_seen
from spinelift.files import whole_folder, write_whole
from spinelift.geometry import CROP_SIZE
from spinelift.geometry.canonical import CANONICAL_SHAPE
from spinelift.inference.calibrate import Calibrator
from spinelift.learn.export.card import network_of, read_record, terms_of, training_of, write_new_card
from spinelift.learn.export.onnx import export_onnx, smooth_images
from spinelift.learn.loop.checkpoint import WEIGHTS, load_weights
from spinelift.learn.people import DONORS, REAL, people_beside
from spinelift.learn.regressor.calibrate import Gains, Shrunk, calibrate, check_enough, measure_gains
from spinelift.learn.regressor.config import PaperConfig, RowsConfig
from spinelift.learn.regressor.train import load_regressor, make_network
from spinelift.learn.segmenter.config import UnetConfig
from spinelift.learn.segmenter.train import load_segmenter
from spinelift.learn.segmenter.unet import Segmenter
from spinelift.store.memory import Pairs
from spinelift.store.rows import PairStore, load_pairs

NAMES = ("regressor", "segmenter")
SIGNATURES = DxaPreprocessing().signatures()
REGRESSOR_CONFIG: TypeAdapter[RowsConfig | PaperConfig] = TypeAdapter(RowsConfig | PaperConfig)


@dataclass(frozen=True)
class Trained:
    """Networks, the files of their weights, and what the card says of both.

    ``terms`` are licence and limits. ``people`` are the hashes of the people that the networks have seen.
    """

    regressor: nn.Module
    segmenter: nn.Module
    weights: Mapping[str, Path]
    networks: Mapping[str, Network]
    training: Training
    terms: Mapping[str, Any]
    people: bytes

    @classmethod
    def from_runs(cls, regressor: Path, segmenter: Path, licence: str | None = None) -> "Trained":
        """The averaged weights of two training runs; the segmenter's may be an unpacked bundle.

        ``licence`` is that of the bundle, if it is not that of the package.
        """
        first, first_config = load_regressor(regressor)
        record, people = read_record(regressor), join_people(*map(people_beside, (regressor, segmenter)))
        if (segmenter / CARD_NAME).is_file():
            card = _whole_card(segmenter)
            second, settings = _segmenter_of(card, segmenter), card.networks["segmenter"]
            path = segmenter / "segmenter.safetensors"
            details: dict[str, Any] = {"segmenter": f"{card.name} {card.version}"}
        else:
            second, second_config = load_segmenter(segmenter)
            settings, path = network_of(second, second_config.network), segmenter / WEIGHTS
            own = read_record(segmenter)
            details = {f"segmenter_{k}": own[k] for k in ("people", "steps", "seconds")}
            details |= {f"segmenter_{DONORS}": ", ".join(own[DONORS])} if own.get(DONORS) else {}
        details[REAL] = count_people(people)[1]
        training = training_of(record, regressor_examples=record["examples"], **details)
        networks = {"regressor": network_of(first, first_config.network), "segmenter": settings}
        terms = terms_of(people, licence)
        weights = {"regressor": regressor / WEIGHTS, "segmenter": path}
        return cls(first, second, weights, networks, training, terms, people)

    @classmethod
    def from_bundle(cls, folder: Path) -> "Trained":
        """The weights that an unpacked bundle holds as safetensors.

        A :class:`BundleError` says that it is not whole, is a zip, or lacks weights or settings.
        """
        card = _whole_card(folder)
        config = REGRESSOR_CONFIG.validate_python(_settings(card.networks["regressor"]))
        regressor = make_network(config).eval()
        weights = {name: folder / f"{name}.safetensors" for name in NAMES}
        load_weights(regressor, weights["regressor"])
        terms = {"licence": card.licence, "limits": card.limits}
        people = people_beside(folder)
        segmenter = _segmenter_of(card, folder)
        return cls(regressor, segmenter, weights, card.networks, card.training, terms, people)


def _whole_card(folder: Path) -> PredictionCard:
    """Card of an unpacked bundle that holds the weights of its networks as safetensors."""
    card = load_bundle(PredictionCard, folder).card
    files = {name: folder / f"{name}.safetensors" for name in NAMES}
    missing = [name for name in NAMES if name not in card.networks or not files[name].is_file()]
    if missing:
        raise BundleError(
            found=f"no weights of the {' and the '.join(missing)} in {folder.name}",
            expected="a bundle's folder with regressor.safetensors and segmenter.safetensors",
            do="Unpack the bundle if it is a zip, or give another one.",
        )
    return card


def _segmenter_of(card: PredictionCard, folder: Path) -> Segmenter:
    segmenter = Segmenter(UnetConfig.model_validate(_settings(card.networks["segmenter"]))).eval()
    load_weights(segmenter, folder / "segmenter.safetensors")
    return segmenter


def _settings(network: Network) -> dict[str, Any]:
    """Settings as `network_of` took them from a configuration."""
    return {
        k: json.loads(v) if isinstance(v, str) and (v == "null" or v[:1] in "[{") else v
        for k, v in network.settings.items()
    }


@dataclass(frozen=True)
class BundlePlan:
    """What makes a bundle of networks; ``baselines`` are the stores that baselines are fitted to.

    ``keep_people``: the bundle holds the hashes of the people of training.
    """

    name: str
    version: str
    calibration: Path
    test: Path
    baselines: Sequence[Path] = ()
    limit: int | None = None
    iou_step_mm: float | None = 1.0
    keep_people: bool = True


def make_bundle(trained: Trained, plan: BundlePlan, out: Path) -> PredictionCard:
    """Write the bundle's folder; an existing one is replaced once the new one is whole.

    A :class:`ConfigError` says that there are too few people to calibrate or to test on, or that people of
    training, calibration and test are not different ones.
    """
    calibration_pairs, test = load_pairs([plan.calibration], limit=plan.limit), load_pairs([plan.test])
    check_enough(len(calibration_pairs), "to calibrate on")
    refuse_empty(test)
    refuse_seen(test.eid, hash_people(calibration_pairs.eid), "calibration and test")
    refuse_seen(calibration_pairs.eid, trained.people, "training and calibration")
    refuse_seen(test.eid, trained.people, "training and test")
    mean = trained.regressor.get_buffer("mean_curves").double().numpy()
    gains = measure_gains(trained.regressor, mean, calibration_pairs)
    network = Shrunk(trained.regressor, mean, Gains(*(gain.value for gain in gains)))
    source = f"{len(calibration_pairs)} people of {_about(plan.calibration)}"
    with whole_folder(out) as part:
        part.mkdir(parents=True)
        crop, grid = smooth_images(2, (CROP_SIZE, CROP_SIZE)), smooth_images(2, CANONICAL_SHAPE)
        export_onnx(network, part / "regressor.onnx", crop, SIGNATURES["regressor"])
        export_onnx(trained.segmenter, part / "segmenter.onnx", grid, SIGNATURES["segmenter"])
        for name, path in trained.weights.items():
            shutil.copyfile(path, part / f"{name}.safetensors")
        if plan.keep_people and trained.people:
            write_whole(part / PEOPLE, trained.people)
        calibration = calibrate(network, calibration_pairs, source=source)
        return write_new_card(
            PredictionCard, part, [item.name for item in part.iterdir()], name=plan.name,
            version=plan.version, networks=trained.networks, training=_with_gains(trained.training, gains),
            metrics=measure(part, plan, test, calibration), calibration=calibration, **trained.terms,
        )  # fmt: skip


def measure(folder: Path, plan: BundlePlan, test: Pairs, calibration: Calibration) -> list[Metric]:
    """Figures of the exported regressor on the test people, as the card holds them."""
    onnx = (folder / "regressor.onnx").read_bytes()
    network = OnnxNetwork(onnx, "regressor", SIGNATURES["regressor"])
    train = load_pairs(plan.baselines, limit=plan.limit) if plan.baselines else None
    factors = Calibrator(calibration).factors
    rows = evaluate_pairs(network, test, train, factors=factors, iou_step_mm=plan.iou_step_mm)
    return [row.to_card(_about(plan.test)) for row in rows]


def _about(store: Path) -> str:
    about = PairStore.open(store).about
    return f"{store.name} ({', '.join(f'{k} {v}' for k, v in about.items())})" if about else store.name


def _with_gains(training: Training, gains: tuple[Estimate, Estimate]) -> Training:
    """The record of the training with the gains among its details, and their 95 % intervals."""
    details = {k: v for k, v in training.details.items() if not k.startswith("gain_")}
    for name, gain in zip(Gains._fields, gains, strict=True):
        details[f"gain_{name}"] = round(gain.value, 4)
        details[f"gain_{name}_interval95"] = f"{gain.low:.2f} to {gain.high:.2f}"
    return training.model_copy(update={"details": details})
