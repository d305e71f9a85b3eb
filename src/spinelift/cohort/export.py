"""Pairs of a store, written into stores of their own."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from spinelift.cohort.manifest import PARTS, read_checked, read_manifest
from spinelift.cohort.record import part_path, read_part
from spinelift.curves import CORONAL, resample_rows, zero_sagittal
from spinelift.errors import NoScansError
from spinelift.geometry import SPINE_CROP_ROWS
from spinelift.geometry.arrays import Float32
from spinelift.io.truth import read_truth, truth_path
from spinelift.io.ukb_names import visit_key
from spinelift.store.memory import Pairs
from spinelift.store.rows import PairStore

ABOUT = "built by spinelift cohort build"


def export_split(
    store: Path, split: str, out: Path, folds: Collection[int] | None = None, *, min_match: float = 0.0
) -> int:
    """Write the pairs of one split, or of some of its folds, as a store of their own; returns how many.

    ``min_match``: least ``pair_match`` of a pair that is written; pairs without one are written. Raises
    NoScansError if there are no pairs.
    """
    fits = pl.col("pair_match").fill_null(1.0) >= min_match
    chosen = read_manifest(store).filter((pl.col("split") == split) & fits)
    about: dict[str, object] = {"cohort": ABOUT, "split": split}
    if folds is not None:
        chosen = chosen.filter(pl.col("fold").is_in(list(folds)))
        about["folds"] = sorted(folds)
    rows = chosen["row"].sort().to_list()
    if not rows:
        raise NoScansError(
            found=f"no pairs of the split {split}" + ("" if folds is None else f" in folds {about['folds']}"),
            expected="at least one pair",
            do="Add people to the cohort, or choose other folds.",
        )
    write_stores(store, {out: rows}, {out: about})
    return len(rows)


def with_true_curves(store: Path, truth: Path) -> Callable[[Pairs, list[int]], Pairs]:
    """For :func:`write_stores`: the true curves of simulated people in the DXA, in place of the pipeline's.

    ``truth`` is their folder; raises ConfigError if a person has no file in it.
    """
    manifest = read_manifest(store).filter(pl.col("row").is_not_null())
    visits = {row["row"]: visit_key(row["eid"], row["instance"]) for row in manifest.iter_rows(named=True)}

    def change(pairs: Pairs, rows: list[int]) -> Pairs:
        return replace(pairs, curves=np.stack([_true_curves(store, truth, visits[row]) for row in rows]))

    return change


def _true_curves(store: Path, truth: Path, key: str) -> Float32:
    """Curves [6, 209] in crop px of a simulated visit, in the crop that the pipeline made."""
    values = read_part(part_path(store / PARTS, key), arrays=()).values
    known, size = read_truth(truth_path(truth, key)).dxa, values["mm_per_px"]
    curves = resample_rows(known.z_mm, known.curves_mm, values["z0_mm"] + SPINE_CROP_ROWS * size)
    curves[CORONAL] -= values["x0_mm"]
    return np.asarray(zero_sagittal(curves) / size, np.float32)


def write_stores(
    store: Path,
    rows: Mapping[Path, Sequence[int]],
    about: Mapping[Path, Mapping[str, object]],
    change: Callable[[Pairs, list[int]], Pairs] = lambda pairs, rows: pairs,
) -> None:
    """Write pairs of a cohort into new stores, each with the given rows in ascending order.

    The cohort is read once, shard by shard. ``change`` may alter pairs, given their rows, before they are
    written.
    """
    _, source = read_checked(store)
    targets = {path: PairStore.create(path, about=about[path]) for path in rows}
    wanted = {path: np.unique(np.asarray(chosen, np.int64)) for path, chosen in rows.items()}
    for start in range(0, len(source), PairStore.SHARD):
        stop = min(start + PairStore.SHARD, len(source))
        inside = {path: chosen[(chosen >= start) & (chosen < stop)] for path, chosen in wanted.items()}
        if not any(map(len, inside.values())):
            continue
        block = source.load(stop, start=start)
        for path, chosen in inside.items():
            if len(chosen):
                targets[path].extend(**vars(change(block.take(chosen - start), chosen.tolist())))
    for target in targets.values():
        target.flush()
