from dataclasses import replace

import numpy as np
import pytest
from cohort_driver import make_folders, make_record
from truth_cases import column_fields, simulated_truth

from spinelift.cohort.manifest import PARTS, compact, read_manifest
from spinelift.cohort.record import DONE, write_part
from spinelift.cohort.report import write_report
from spinelift.cohort.truth import Quantity, judge
from spinelift.curves import Curve
from spinelift.errors import NoScansError
from spinelift.geometry import FIRST_SPINE_ROW, SPINE_ROWS
from spinelift.io.truth import write_truth
from spinelift.io.visits import find_visits

MOVE = {"rotation_deg": 2.0, "dx_mm": 12.0, "dz_mm": 700.0}
SIZE, X0, Z0 = 2.0, 150.0, 200.0


def true_lines():
    """Heights of the MRI's truth, and a spine there: middle x and y, mm; nothing symmetric."""
    z = np.linspace(-470.0, -40.0, 300)
    t = (z - z[0]) / (z[-1] - z[0])
    return z, 200.0 + 8 * np.sin(3 * t), 30.0 * np.sin(2.5 * t + 0.3)


def moved(x, z):
    a = np.radians(MOVE["rotation_deg"])
    return np.cos(a) * x + np.sin(a) * z + MOVE["dx_mm"], -np.sin(a) * x + np.cos(a) * z + MOVE["dz_mm"]


def truth_of(key, **more):
    z, x, y = true_lines()
    u, v = moved(x, z)
    even = np.linspace(v[0], v[-1], SPINE_ROWS)
    dxa, mri = column_fields(even, np.interp(even, v, u)), column_fields(z, x, y=y)
    return simulated_truth(dxa=dxa, mri=mri, moved=MOVE, scan_id=key, **more)


def perfect_curves():
    """Crop px of the truth."""
    z, x, y = true_lines()
    u, v = moved(x, z)
    rows = Z0 + (FIRST_SPINE_ROW + np.arange(SPINE_ROWS)) * SIZE
    out = np.empty((6, SPINE_ROWS), np.float32)
    middle, back = np.interp(rows, v, u), np.interp(rows, v, y)
    for k, w in ((Curve.LEFT, 20), (Curve.CENTRE, 0), (Curve.RIGHT, -20)):
        out[k] = (middle + w - X0) / SIZE
    for k, w in ((Curve.ANTERIOR, -15), (Curve.SAGITTAL, 0), (Curve.POSTERIOR, 15)):
        out[k] = (back - back.mean() + w) / SIZE
    return out


@pytest.fixture
def store(tmp_path):
    make_folders(tmp_path / "in", 12)
    for k, visit in enumerate(find_visits(tmp_path / "in" / "dxa", tmp_path / "in" / "mri").visits):
        record = make_record(visit)
        values = {**record.values, "mm_per_px": SIZE, "x0_mm": X0, "z0_mm": Z0}
        if "iou" in values:
            values |= {
                "iou_before": 0.1,
                "iou_stage1": 0.5,
                "rotation_deg": 2.0,
                "dx_mm": 12.0,
                "dz_mm": 703.0,
            }
            values |= {"rotation_deg_stage1": 2.5, "dx_mm_stage1": 12.0, "dz_mm_stage1": 700.0}
        findings = (
            [{"trap": "duplicate station", "station": 2, "action": "corrected", "detail": ""}]
            if k == 0
            else []
        )
        curves = perfect_curves() if record.status == DONE else None
        write_part(
            tmp_path / "store" / PARTS, replace(record, values=values, curves=curves, findings=findings)
        )
        planted = [{"trap": "duplicate station", "station": 2, "detail": {}}] if k < 2 else []
        truth = truth_of(visit.key, traps=planted, iou=0.5 if k == 3 else 0.9)
        write_truth(tmp_path / "truth", truth)
    compact(tmp_path / "store")
    return tmp_path / "store"


def test_errors_are_those_that_were_made(store):
    verdict = judge(store, read_manifest(store), store.parent / "truth")
    errors = {q.name: q.values for q in verdict.quantities}
    assert errors["rotation, stage 2"] == pytest.approx(0.0)
    assert errors["translation, stage 2"] == pytest.approx(3.0)
    assert errors["rotation, stage 1"] == pytest.approx(0.5)
    assert errors["translation, stage 1"].min() > 1.0
    assert errors["coronal MAE"].max() < 0.05
    assert errors["sagittal MAE"].max() < 0.05


def test_traps_are_counted_as_found_or_missed(store):
    verdict = judge(store, read_manifest(store), store.parent / "truth")
    (row,) = verdict.traps
    assert (row["planted"], row["detected"], row["corrected"], row["missed"]) == (2, 1, 1, 1)
    assert sum(verdict.filtered["bent too far"].values()) == 1


def test_a_quantity_has_an_interval():
    document = Quantity("x", "mm", np.arange(50.0)).to_json()
    assert document["mean"] == pytest.approx(24.5)
    assert document["interval95"][0] < 24.5 < document["interval95"][1]
    assert Quantity("x", "mm", np.array([])).to_json()["n"] == 0


def test_truth_of_other_people_is_refused(store, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoScansError, match="no truth"):
        judge(store, read_manifest(store), tmp_path / "empty")


def test_the_page_is_whole_and_calls_nobody(store, tmp_path):
    manifest = read_manifest(store)
    verdict = judge(store, manifest, tmp_path / "truth")
    write_report(store, manifest, tmp_path / "report.html", verdict)
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page
    assert "duplicate station" in page
    assert "48,384 people on 100 cores" in " ".join(page.split())
    assert "Undefined" not in page
