"""Scans and MRI in. Nothing personal is copied from a header into a ``DxaScan`` or a ``DixonVolume``."""

from spinelift.io.dxa import DxaScan, find_scans, read_dxa

__all__ = ["DxaScan", "find_scans", "read_dxa"]
