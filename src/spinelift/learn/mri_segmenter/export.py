"""The MRI segmenter as ONNX files with their card."""

from pathlib import Path
from typing import Any

import torch

from spinelift.bundle import MriSegmenterCard
from spinelift.bundle.card import Metric
from spinelift.bundle.kinds import MriWindow
from spinelift.learn.export.card import network_of, read_record, training_of, write_new_card
from spinelift.learn.export.onnx import export_onnx
from spinelift.learn.mri_segmenter.config import MriNetworkConfig
from spinelift.learn.mri_segmenter.network import EndsNetwork, SliceNetwork
from spinelift.segment.mri import CHANNELS, WINDOW
from spinelift.version import __version__


def export_mri_segmenter(
    slices: SliceNetwork, ends: EndsNetwork, config: MriNetworkConfig, run: Path
) -> MriSegmenterCard:
    """Write both networks and their card into the folder of their run."""
    signatures = MriWindow().signatures()
    windows, features = torch.rand(2, CHANNELS, WINDOW, WINDOW), torch.rand(1, config.features, 400)
    export_onnx(slices, run / "slices.onnx", windows, signatures["slices"])
    export_onnx(ends, run / "ends.onnx", features, signatures["ends"], free=2)
    return write_new_card(
        MriSegmenterCard, run, [f"{name}.onnx" for name in signatures], name="mri_segmenter",
        version=__version__, training=training_of(read_record(run)),
        networks={"slices": network_of(slices, config), "ends": network_of(ends, config)},
    )  # fmt: skip


def card_metrics(figures: dict[str, Any], dataset: str) -> list[Metric]:
    """What ``evaluate_cohort`` measured, as a card holds it."""
    people, lost = figures["people"], figures["not_found"]
    return [
        Metric(name="not_found", dataset=dataset, value=lost, unit="people", spines=max(people + lost, 1)),
        *(
            Metric(
                name=name.removesuffix("_mm"), dataset=dataset, unit="mm" if name.endswith("_mm") else "",
                spines=people, **figure,
            )
            for name, figure in figures.items() if isinstance(figure, dict)
        ),
    ]  # fmt: skip
