"""Small stores of painted spines: a bright tube that bends, whose brightness tells its depth."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from spinelift.cohort.manifest import MANIFEST, PAIRS, SCHEMA, table_bytes
from spinelift.cohort.splits import deal
from spinelift.curves import Curve, zero_sagittal
from spinelift.geometry import CROP_SIZE, SPINE_CROP_ROWS, SPINE_ROWS
from spinelift.geometry.canonical import CANONICAL_SHAPE
from spinelift.store.rows import PairStore, ScanStore


def painted_pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Crop uint8 [224, 224] and curves [6, 209]: where the tube is bright, the spine lies to the front."""
    t = np.linspace(0, 1, SPINE_ROWS)
    centre = 111.5 + rng.normal(0, 6) * np.sin(np.pi * t) + rng.normal(0, 4) * np.sin(2 * np.pi * t)
    depth = rng.normal(0, 10) * np.sin(2 * np.pi * t + rng.uniform(0, 1)) + 6 * np.cos(3 * t)
    curves = np.stack([centre + 9, centre, centre - 9, depth - 8, depth, depth + 8])
    curves = zero_sagittal(curves)
    rows = np.clip(np.arange(CROP_SIZE) - SPINE_CROP_ROWS[0], 0, SPINE_ROWS - 1)
    middle = np.interp(rows, np.arange(SPINE_ROWS), centre)
    level = 150 - 3.5 * np.interp(rows, np.arange(SPINE_ROWS), curves[Curve.SAGITTAL])
    away = np.abs(np.arange(CROP_SIZE)[None] - middle[:, None])
    image = np.where(away < 9, level[:, None], 40.0) + rng.normal(0, 4, (CROP_SIZE, CROP_SIZE))
    return np.clip(image, 0, 255).astype(np.uint8), curves.astype(np.float32)


def make_pairs(path: Path, n: int, seed: int, *, first_eid: int = 1_000_000) -> Path:
    """A pair store of n painted spines."""
    rng = np.random.default_rng(seed)
    with PairStore.create(path, about={"people": "painted", "seed": seed}) as store:
        for k in range(n):
            image, curves = painted_pair(rng)
            store.append(image=image, curves=curves, mm_per_px=2.0 + 0.01 * (k % 20), eid=first_eid + k)
    return path


def make_scans(path: Path, n: int, seed: int, *, first_eid: int = 0) -> Path:
    """A scan store of n painted bodies, each with a bright bar for a spine."""
    rng = np.random.default_rng(seed)
    with ScanStore.create(path) as store:
        for k in range(n):
            top, left = int(rng.integers(180, 240)), int(rng.integers(140, 170))
            image = rng.integers(20, 60, CANONICAL_SHAPE, dtype=np.uint8)
            mask = np.zeros(CANONICAL_SHAPE, np.uint8)
            mask[top : top + 200, left : left + 18] = 1
            image[mask > 0] += 150
            ends = np.array([[top, left + 8.5], [top + 199, left + 8.5]], np.float32)
            store.append(image=image, mask=mask, ends=ends, eid=first_eid + k)
    return path


def write_cohort(folder: Path, frame: pl.DataFrame, **pairs: np.ndarray) -> Path:
    """Manifest and pairs of a cohort as a build writes them; columns that ``frame`` has not are empty."""
    frame = frame.with_columns(kept=pl.col("row").is_not_null())
    missing = [pl.lit(None).alias(name) for name in SCHEMA if name not in frame.columns]
    manifest = table_bytes(frame.with_columns(missing).select(*SCHEMA).cast(SCHEMA))
    folder.mkdir(exist_ok=True)
    about = {"manifest": hashlib.sha256(manifest).hexdigest()}
    with PairStore.create(folder / PAIRS, about=about) as store:
        store.extend(**pairs, eid=frame["eid"].to_numpy())
    (folder / MANIFEST).write_bytes(manifest)
    return folder


def make_cohort(folder: Path, n: int, seed: int) -> Path:
    """A cohort of n painted spines, a fifth of them scoliotic; of some two visits."""
    eid = 1_000_000 + np.arange(n) - np.arange(n) // 50  # the row after every fiftieth is the same person
    eid = 1_000_000 + np.unique(eid, return_inverse=True)[1]
    places = deal({int(e): int(e) % 5 == 0 for e in eid})
    rows = [
        {"eid": int(e), "instance": 2 + k % 2, "row": k, "settings": "painted"} for k, e in enumerate(eid)
    ]
    frame = pl.DataFrame(
        [row | {"split": places[row["eid"]].split, "fold": places[row["eid"]].fold} for row in rows]
    )
    rng = np.random.default_rng(seed)
    image, curves = map(np.stack, zip(*(painted_pair(rng) for _ in range(n)), strict=True))
    mm_per_px = (2.0 + 0.01 * (np.arange(n) % 20)).astype(np.float32)
    return write_cohort(folder, frame, image=image, curves=curves, mm_per_px=mm_per_px)
