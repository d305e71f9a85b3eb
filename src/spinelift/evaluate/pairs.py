"""Evaluation of a regressor on a pair store: crops at their true position, beside the baselines."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from spinelift.curves import CORONAL, SAGITTAL
from spinelift.errors import ConfigError
from spinelift.evaluate.baselines import conditioned_shape, mean_curve, ridge_on_image
from spinelift.evaluate.bootstrap import pearson_estimate, people_counts
from spinelift.evaluate.known_rows import fill_rows, level_difference
from spinelift.evaluate.metrics import CropScale, score
from spinelift.evaluate.table import Row, columns, table_rows
from spinelift.geometry import SPINE_CROP_ROWS, SPINE_ROWS
from spinelift.geometry.arrays import AnyFloat, Float, Float32, UInt8
from spinelift.store.memory import Pairs

Regressor = Callable[[Float32], Sequence[Float32]]
"""Images [n, 1, 224, 224], 0..255 → curves and scale [n, 6, 209], features [n, D]."""


class Predicted(NamedTuple):
    """Curves, Laplace scale (crop px) and features of many crops."""

    curves: Float
    scale: Float
    features: Float


def run_regressor(regressor: Regressor, image: UInt8, *, batch: int = 32) -> Predicted:
    """Run a regressor over crops uint8 [n, 224, 224]."""
    parts = [regressor(image[i : i + batch, None].astype(np.float32)) for i in range(0, len(image), batch)]
    return Predicted(*(np.concatenate(p).astype(np.float64) for p in zip(*parts, strict=True)))


def refuse_empty(test: Pairs) -> None:
    """Raise a :class:`ConfigError` if there is nobody to test on."""
    if not len(test):
        raise ConfigError(
            found="a test store without pairs", expected="at least one", do="Give the store of other people."
        )


def score_pairs(
    curves: Float, pairs: Pairs, *, half_width: Float | None = None, iou_step_mm: float | None = 1.0
) -> list[dict[str, float]]:
    """Metrics of each spine; curves [n, 6, 209] and half widths [n, 6, 209] in crop px.

    Of a spine with unknown rows, the known ones count, and angles are left out; of one without known rows
    there is nothing.
    """
    out: list[dict[str, float]] = []
    for k, valid in enumerate(pairs.valid):
        size = float(pairs.mm_per_px[k])
        if np.count_nonzero(valid) < 2:
            out.append({})
            continue
        z, true_mm = SPINE_CROP_ROWS[valid] * size, pairs.curves[k][:, valid].astype(np.float64) * size
        half = None if half_width is None else half_width[k][:, valid] * size
        crop = CropScale(left_edge_mm=-0.5 * size, mm_per_px=size)
        scores = score(
            z, curves[k][:, valid] * size, z, true_mm, crop=crop, half_width_mm=half,
            iou_step_mm=iou_step_mm, angles=bool(valid.all()),
        )  # fmt: skip
        out.append(scores)
    return out


def baseline_curves(train: Pairs, test: Pairs, predicted: AnyFloat) -> dict[str, Float]:
    """Predictions [n, 6, 209], crop px, of every baseline for the test people.

    ``predicted`` [n, 6, 209] are a model's curves, whose coronal ones are what a user has of the image.
    Unknown rows of the training people are filled with their mean curve.
    """
    known, true = fill_rows(train.curves, train.valid), fill_rows(test.curves, test.valid)
    return {
        "mean curve": mean_curve(known, len(test)),
        "shape model, true coronal curve": conditioned_shape(known, true),
        "shape model, predicted coronal curve": conditioned_shape(known, predicted),
        "ridge on image": ridge_on_image(train.image, known, test.image),
    }


def evaluate_pairs(
    regressor: Regressor, test: Pairs, train: Pairs | None = None, *, factors: Float | None = None,
    iou_step_mm: float | None = 1.0,
) -> list[Row]:  # fmt: skip
    """Metrics of a regressor on test people.

    The baselines are fitted to ``train``. ``factors`` [6, 209] on the scale give the half width of the 90 %
    interval; without them coverage is left out, without ``iou_step_mm`` the 3D IoU.
    """
    refuse_empty(test)
    predicted = run_regressor(regressor, test.image)
    half_width = None if factors is None else predicted.scale * factors
    model = score_pairs(predicted.curves, test, half_width=half_width, iou_step_mm=iou_step_mm)
    others = {} if train is None else baseline_curves(train, test, predicted.curves)
    scored = {name: columns(score_pairs(c, test, iou_step_mm=iou_step_mm)) for name, c in others.items()}
    return [*table_rows(columns(model), scored, test.eid), *_pearson_rows(predicted.curves, others, test)]


def _pearson_rows(curves: Float, others: dict[str, Float], test: Pairs) -> list[Row]:
    counts = people_counts(test.eid, rounds=300)
    shape, rows = (len(test), -1), []
    known = np.broadcast_to(test.valid[:, None], (len(test), 3, SPINE_ROWS)).reshape(shape)
    for name, part in (("coronal", CORONAL), ("sagittal", SAGITTAL)):
        true = level_difference(test.curves.astype(np.float64), test.valid)[:, part].reshape(shape)
        parts = (level_difference(c, test.valid)[:, part].reshape(shape) for c in (curves, *others.values()))
        model, *rest = (pearson_estimate(p, true, counts, known=known) for p in parts)
        rows.append(Row(f"{name}_pearson_r", len(test), model, dict(zip(others, rest, strict=True))))
    return rows
