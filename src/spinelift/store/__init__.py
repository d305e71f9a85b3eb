"""Rows of pairs and scans on disk (Zarr): written by the simulator and the cohort build, read by training."""

from spinelift.store.memory import Laterals, Pairs, Scans
from spinelift.store.rows import LateralStore, PairStore, ScanStore, load_laterals, load_pairs, load_scans

__all__ = [
    "LateralStore", "Laterals", "PairStore", "Pairs", "ScanStore", "Scans", "load_laterals", "load_pairs",
    "load_scans",
]  # fmt: skip
