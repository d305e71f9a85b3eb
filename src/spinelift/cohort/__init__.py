"""What is learnt from: stores of examples on disk."""

from spinelift.cohort.store import Pairs, PairStore, Scans, ScanStore, load_pairs, load_scans

__all__ = ["PairStore", "Pairs", "ScanStore", "Scans", "load_pairs", "load_scans"]
