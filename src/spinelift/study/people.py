"""The people of a study: pairs by split and fold, and what is known of each person."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from spinelift.cohort.manifest import read_manifest
from spinelift.errors import ConfigError
from spinelift.io.truth import read_truth
from spinelift.learn.regressor.calibrate import check_enough
from spinelift.learn.regressor.config import RegressorConfig

HELD_OUT, TEST = "cross-validation", "test"
"""The two parts of the people that networks are measured on."""
BANDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "age_years": ("age, years", (55, 65, 75)),
    "height_mm": ("height, mm", (1600, 1700, 1800)),
    "severity_deg": ("true Ferguson angle, °", (6, 10, 20)),
}
"""Title and bounds of the groups by age, height and severity."""
_SEX = {"0": "F", "1": "M", "f": "F", "m": "M", "female": "F", "male": "M"}


def read_pairs(store: Path) -> pl.DataFrame:
    """Kept pairs of a cohort in the order of its store: eid, instance, row, split, fold."""
    columns = ["eid", "instance", "row", "split", "fold", "settings"]
    return read_manifest(store).filter(pl.col("row").is_not_null()).select(columns).sort("row")


def check_pairs(pairs: pl.DataFrame, folds: int, configs: Sequence[RegressorConfig]) -> None:
    """Raise a :class:`ConfigError` if people are too few to train, validate, calibrate or test on."""
    for split in ("val", "test"):
        if not (pairs["split"] == split).any():
            raise ConfigError(
                found=f"a cohort whose split {split} is empty",
                expected="people to train, to validate and to test on",
                do="Add people to the cohort, and build it again.",
            )
    train = pairs.filter(pl.col("split") == "train")
    for fold in range(folds):
        held_out = int((train["fold"] == fold).sum())
        check_enough(held_out, f"in fold {fold} of the training people, to calibrate on")
        largest = max(config.loop.batch for config in configs)
        if len(train) - held_out < largest:
            raise ConfigError(
                found=f"{len(train) - held_out} pairs to train on without fold {fold}",
                expected=f"at least one batch of {largest}",
                do="Add people to the cohort, or lower loop.batch.",
            )


def digest_of(pairs: pl.DataFrame) -> str:
    """Hash of who is in which split and fold, and of how the pairs were made."""
    return hashlib.sha256(pairs.write_csv().encode()).hexdigest()


def read_traits(path: Path | None) -> dict[int, dict[str, Any]]:
    """Sex, age in years and height in mm by person, as far as known.

    From a CSV file with the column ``eid`` and any of ``sex``, ``age_years`` and ``height_mm``, or from the
    folder ``truth/`` of simulated people.
    """
    if path is None:
        return {}
    if path.is_dir():
        known = [read_truth(file) for file in sorted(path.glob("*.json"))]
        return {
            int(t.scan_id.split("_")[0]): {"sex": t.sex, "age_years": t.age_years, "height_mm": t.height_mm}
            for t in known
        }
    try:
        table = pl.read_csv(path, infer_schema=False)
        traits = {"age_years": pl.Float64, "height_mm": pl.Float64}
        table = table.with_columns(
            pl.col("eid").cast(pl.Int64),
            *(pl.col(c).cast(t) for c, t in traits.items() if c in table.columns),
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(
            found="a table of people that cannot be read",
            expected="CSV with the column eid and any of sex, age_years, height_mm",
            do="Check --people.",
        ) from error
    names = [name for name in ("sex", *traits) if name in table.columns]
    rows = {row["eid"]: {n: row[n] for n in names if row[n] is not None} for row in table.to_dicts()}
    return {eid: {**row, **_sex_of(row)} for eid, row in rows.items()}


def _sex_of(row: dict[str, Any]) -> dict[str, str]:
    return {"sex": _SEX.get(str(row["sex"]).strip().lower(), "unknown")} if "sex" in row else {}


def group_names(traits: dict[str, Any], true_ferguson_deg: float) -> list[str]:
    """Groups that a pair belongs to, such as ``sex: F`` and ``age, years: 55 to 65``."""
    values = {**traits, "severity_deg": true_ferguson_deg}
    names = [f"sex: {values['sex']}"] if "sex" in values else []
    for key, (title, bounds) in BANDS.items():
        if key in values:
            names.append(f"{title}: {_bands(bounds)[sum(values[key] >= bound for bound in bounds)]}")
    return names


def all_groups() -> list[str]:
    """Every group that there may be, in order."""
    return [f"sex: {sex}" for sex in ("F", "M", "unknown")] + [
        f"{title}: {band}" for title, bounds in BANDS.values() for band in _bands(bounds)
    ]


def _bands(bounds: tuple[int, ...]) -> list[str]:
    between = [f"{low} to {high}" for low, high in pairwise(bounds)]
    return [f"below {bounds[0]}", *between, f"{bounds[-1]} and more"]
