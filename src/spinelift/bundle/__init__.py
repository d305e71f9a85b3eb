"""Sets of networks on disk: ONNX files, the card that names them with their hashes, and their sessions."""

from spinelift.bundle.bundle import Bundle, BundleRef
from spinelift.bundle.card import Card

__all__ = ["Bundle", "BundleRef", "Card"]
