"""Rows of pairs and scans on disk (Zarr): written by the simulator and the cohort build, read by training."""

from spinelift.store.memory import Pairs, Scans
from spinelift.store.rows import PairStore, ScanStore, load_pairs, load_scans

__all__ = ["PairStore", "Pairs", "ScanStore", "Scans", "load_pairs", "load_scans"]
