"""True curves of simulated people in place of the pipeline's, in the crop that the pipeline made."""

import numpy as np
import polars as pl
from store_cases import write_cohort
from truth_cases import column_fields, simulated_truth

from spinelift.cohort.export import with_true_curves, write_stores
from spinelift.cohort.manifest import PARTS
from spinelift.cohort.record import DONE, Record, write_part
from spinelift.curves import Curve
from spinelift.geometry import FIRST_SPINE_ROW
from spinelift.io.truth import write_truth
from spinelift.store.rows import PairStore


def test_true_curves_lie_where_the_crop_says(tmp_path):
    """A crop of 2 mm pixels whose first pixel is at x = 100, z = 50 mm; a spine that slants in both views."""
    eid, size, x0, z0 = 10_000_000, 2.0, 100.0, 50.0
    z = np.linspace(z0 + FIRST_SPINE_ROW * size, z0 + (FIRST_SPINE_ROW + 208) * size, 300)
    truth = simulated_truth(
        dxa=column_fields(z, 300 + 0.1 * (z - z[0]), left=20, right=16, y=0.2 * z, depth=12)
    )
    write_truth(tmp_path / "truth", truth)
    values = {"mm_per_px": size, "x0_mm": x0, "z0_mm": z0}
    write_part(tmp_path / PARTS, Record(eid, 2, "a.zip", "b.zip", "", "test", DONE, "curves", values=values))
    frame = {"eid": [eid], "instance": [2], "row": [0], "split": ["train"], "fold": [0]}
    image, curves = np.full((1, 224, 224), 7, np.uint8), np.zeros((1, 6, 209), np.float32)
    sizes = np.array([size], np.float32)
    write_cohort(tmp_path, pl.DataFrame(frame), image=image, curves=curves, mm_per_px=sizes)
    out = tmp_path / "true.zarr"
    write_stores(tmp_path, {out: [0]}, {out: {}}, with_true_curves(tmp_path, tmp_path / "truth"))
    got = PairStore.open(out).load()
    rows = np.arange(209)
    (curves,) = got.curves
    np.testing.assert_allclose(curves[Curve.CENTRE], (300 - x0) / size + 0.1 * rows, atol=1e-3)
    np.testing.assert_allclose(curves[Curve.LEFT] - curves[Curve.CENTRE], 10, atol=1e-3)
    np.testing.assert_allclose(curves[Curve.CENTRE] - curves[Curve.RIGHT], 8, atol=1e-3)
    np.testing.assert_allclose(curves[Curve.SAGITTAL], 0.2 * (rows - 104), atol=1e-3)
    np.testing.assert_allclose(curves[Curve.POSTERIOR] - curves[Curve.SAGITTAL], 6, atol=1e-3)
    assert (got.image == 7).all()
