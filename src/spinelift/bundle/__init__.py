"""Sets of networks on disk: ONNX files, the card that names them with their hashes, and their sessions."""

from spinelift.bundle.bundle import (
    PEOPLE,
    Bundle,
    BundleRef,
    add_metrics,
    hash_files,
    load_any,
    load_bundle,
    shipped,
    write_card,
)  # fmt: skip
from spinelift.bundle.card import Card
from spinelift.bundle.kinds import EncodersCard, LvaCard, MriSegmenterCard, PredictionCard
from spinelift.bundle.session import OnnxNetwork, default_threads

__all__ = [
    "PEOPLE", "Bundle", "BundleRef", "Card", "EncodersCard", "LvaCard", "MriSegmenterCard", "OnnxNetwork",
    "PredictionCard", "add_metrics", "default_threads", "hash_files", "load_any", "load_bundle",
    "shipped", "write_card",
]  # fmt: skip
