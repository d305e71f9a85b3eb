"""Both trained networks of a bundle with the record of their training: from two runs, or from a bundle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from spinelift.bundle import PredictionCard, load_bundle
from spinelift.bundle.card import Network, Training
from spinelift.errors import BundleError
from spinelift.learn.export.card import network_of, read_record, training_of
from spinelift.learn.loop.checkpoint import WEIGHTS, load_weights
from spinelift.learn.regressor.config import PaperConfig, RowsConfig
from spinelift.learn.regressor.train import load_regressor, make_network
from spinelift.learn.segmenter.config import UnetConfig
from spinelift.learn.segmenter.train import load_segmenter
from spinelift.learn.segmenter.unet import Segmenter

NAMES = ("regressor", "segmenter")
REGRESSOR_CONFIG: TypeAdapter[RowsConfig | PaperConfig] = TypeAdapter(RowsConfig | PaperConfig)


@dataclass(frozen=True)
class Trained:
    """Networks, the files of their weights, and what the card says of both.

    ``terms`` holds licence and limits, where they are not the usual ones.
    """

    regressor: nn.Module
    segmenter: nn.Module
    weights: Mapping[str, Path]
    networks: Mapping[str, Network]
    training: Training
    terms: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_runs(cls, regressor: Path, segmenter: Path) -> "Trained":
        """The averaged weights of two training runs."""
        first, first_config = load_regressor(regressor)
        second, second_config = load_segmenter(segmenter)
        record, other = read_record(regressor), read_record(segmenter)
        details = {f"segmenter_{name}": other[name] for name in ("people", "steps", "seconds")}
        training = training_of(record, regressor_examples=record["examples"], **details)
        weights = {name: run / WEIGHTS for name, run in zip(NAMES, (regressor, segmenter), strict=True)}
        settings = network_of(first, first_config.network), network_of(second, second_config.network)
        return cls(first, second, weights, dict(zip(NAMES, settings, strict=True)), training)

    @classmethod
    def from_bundle(cls, folder: Path) -> "Trained":
        """The weights that an unpacked bundle holds as safetensors.

        Raises
        ------
        BundleError
            The bundle is not whole, is a zip, or lacks the weights or their network's settings.
        """
        card = load_bundle(PredictionCard, folder).card
        weights = {name: folder / f"{name}.safetensors" for name in NAMES}
        missing = [name for name in NAMES if name not in card.networks or not weights[name].is_file()]
        if missing:
            raise BundleError(
                found=f"no weights of the {' and the '.join(missing)} in {folder.name}",
                expected="a bundle's folder with regressor.safetensors and segmenter.safetensors",
                do="Unpack the bundle if it is a zip, or give another one.",
            )
        config = REGRESSOR_CONFIG.validate_python(_settings(card.networks["regressor"]))
        regressor = make_network(config).eval()
        segmenter = Segmenter(UnetConfig.model_validate(_settings(card.networks["segmenter"]))).eval()
        load_weights(regressor, weights["regressor"])
        load_weights(segmenter, weights["segmenter"])
        terms = {"licence": card.licence, "limits": card.limits}
        return cls(regressor, segmenter, weights, card.networks, card.training, terms)


def _settings(network: Network) -> dict[str, Any]:
    """Settings as `network_of` took them from a configuration."""
    return {
        k: json.loads(v) if isinstance(v, str) and (v == "null" or v[:1] in "[{") else v
        for k, v in network.settings.items()
    }
