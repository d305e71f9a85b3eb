"""Clinical measures of predicted curves against those of the true ones.

Run: python benchmarks/bench_measures.py (--store STORE | --cases NPZ) [--bundle BUNDLE] [--out FIGURES.json]

STORE is a store of pairs of people who are not in training (``spinelift simulate training``); NPZ a cache of
yardstick cases (``python -m benchmarks.yardsticks``). Crops are at their true position, so that the ends of
the spine are exact. Cases whose truth is not known from T1 to L5 are left out.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spinelift.bundle import PredictionCard, load_bundle
from spinelift.curves import Curve, SpineCurves
from spinelift.evaluate.agreement import bland_altman, detection
from spinelift.evaluate.bootstrap import people_counts
from spinelift.evaluate.pairs import run_regressor
from spinelift.files import write_json
from spinelift.geometry import SPINE_CROP_ROWS, Spacing, SpineFrame
from spinelift.inference.calibrate import Calibrator
from spinelift.inference.prediction import MEASURED_SPINES, plausible_lines
from spinelift.measures import SCOLIOSIS_DEG, SCOLIOSIS_LOWER_DEG, SpineMeasures, measure_spine

Float = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
Rows = list[tuple[SpineMeasures, SpineMeasures]]


def crops(store: Path | None, cases: Path | None) -> tuple[NDArray[np.int64], tuple[UInt8, Float, Float]]:
    """Number of each person [n]; images [n, 224, 224], true curves [n, 6, 209] in crop px, mm per px [n]."""
    if cases is not None:
        from benchmarks.yardsticks.case import load_cases

        whole = [case for case in load_cases(cases) if case.valid.all() and case.known.all()]
        images, curves = (np.stack([getattr(case, name) for case in whole]) for name in ("image", "curves"))
        person = np.unique([case.person for case in whole], return_inverse=True)[1]
        return person, (images, curves.astype(np.float64), np.array([case.mm_per_px for case in whole]))
    from spinelift.store.rows import load_pairs

    assert store is not None
    pairs = load_pairs([store])
    mm_per_px = pairs.mm_per_px.astype(np.float64)
    return pairs.eid, (pairs.image, pairs.curves.astype(np.float64), mm_per_px)


def measured(
    bundle: Path | None, images: UInt8, curves: Float, mm_per_px: Float
) -> Iterator[tuple[SpineMeasures, SpineMeasures]]:
    """Measures of the prediction and of the truth of every crop."""
    loaded = load_bundle(PredictionCard, bundle)
    found = run_regressor(loaded.network("regressor"), images)
    calibrator = Calibrator(loaded.card.calibration)
    for px, scale, true, mm in zip(found.curves, found.scale, curves, mm_per_px, strict=True):
        z = SPINE_CROP_ROWS * mm
        spine = SpineCurves(px, SpineFrame(Spacing(mm, mm), 0.0, 0.0, float(mm)))
        plausible = plausible_lines(calibrator.spread(spine, scale), MEASURED_SPINES)
        lines = ((spine.px, plausible), (true, None))
        one, other = (
            measure_spine(z, line[Curve.CENTRE] * mm, line[Curve.SAGITTAL] * mm, plausible=spread)
            for line, spread in lines
        )
        yield one, other


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--store", type=Path)
    source.add_argument("--cases", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    person, data = crops(options.store, options.cases)
    rows = list(measured(options.bundle, *data))
    counts = people_counts(person)
    figures = {
        "people": len(np.unique(person)), "rows": len(rows), "agreement": agreement(rows, counts),
        "scoliosis": scoliosis(rows, counts),
    }  # fmt: skip
    if options.out:
        write_json(options.out, figures)


def agreement(rows: Rows, counts: Float) -> dict[str, dict[str, float]]:
    """Bias, limits of agreement, correlation and coverage of each measure."""
    figures = {}
    print(f"{len(rows)} rows; predicted less true: bias, limits, r, % of truths in the 90 % interval, width")
    for name in rows[0][0].values():
        pred, true = (np.array([row[k].values()[name].value for row in rows]) for k in (0, 1))
        bounds = np.array([row[0].values()[name].interval90 or (np.nan, np.nan) for row in rows])
        held = (bounds[:, 0] <= true) & (true <= bounds[:, 1])
        found = {key: float(value.value) for key, value in bland_altman(pred, true, counts).items()}
        found |= {
            "r": float(np.corrcoef(pred, true)[0, 1]),
            "coverage90_percent": 100 * float(held.mean()),
            "interval90": float((bounds[:, 1] - bounds[:, 0]).mean()),
        }
        figures[name] = found
        print(f"  {name:22s}" + "".join(f" {value:8.2f}" for value in found.values()))
    return figures


def scoliosis(rows: Rows, counts: Float) -> dict[str, float]:
    """How well scoliosis is detected, with probabilities, side, level of the apex and number of curves."""
    pred, true = (np.array([row[k].ferguson_deg.value for row in rows]) for k in (0, 1))
    figures: dict[str, float] = {}
    for cut in (SCOLIOSIS_LOWER_DEG, SCOLIOSIS_DEG):
        for key, value in detection(pred, true, cut, counts).items():
            figures[f"{key}_{cut:.0f}deg"] = float(value.value)
    chance = np.array([(row[0].screening.probability or {}).get(">=10", np.nan) for row in rows])
    ill = true >= SCOLIOSIS_DEG
    figures["brier_10deg"] = float(((chance - ill) ** 2).mean())
    sure = np.abs(chance - 0.5) > 0.45
    figures |= {"sure_share": float(sure.mean()), "sure_right": float(((chance > 0.5) == ill)[sure].mean())}
    curved = [(one, other) for one, other in rows if other.ferguson_deg.value >= SCOLIOSIS_LOWER_DEG]
    mains = [(one.main, other.main) for one, other in curved if one.main and other.main]
    apex = np.array([abs(one.apex_mm - other.apex_mm) for one, other in mains])
    figures |= {
        "curved_people": float(len(mains)),
        "same_side": float(np.mean([one.direction == other.direction for one, other in mains])),
        "apex_error_median_mm": float(np.median(apex)),
        "same_curve_count": float(np.mean([one.curve_count == other.curve_count for one, other in curved])),
    }
    for key, figure in figures.items():
        print(f"  {key:22s} {figure:8.3f}")
    return figures


if __name__ == "__main__":
    main()
