import base64
import json
import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import polars as pl
import pytest
from cohort_driver import make_folders, make_record
from PIL import Image
from truth_cases import column_fields, simulated_truth
from typer.testing import CliRunner

from spinelift.cli.cohort import app
from spinelift.cohort import report
from spinelift.cohort.aggregates import outcomes, severity, share
from spinelift.cohort.manifest import PARTS, compact, read_manifest
from spinelift.cohort.record import DONE, FAILED, REJECTED, write_part
from spinelift.cohort.report import OVERLAYS, write_report
from spinelift.cohort.truth import Quantity, judge
from spinelift.curves import Curve
from spinelift.errors import NoScansError
from spinelift.geometry import FIRST_SPINE_ROW, SPINE_ROWS
from spinelift.io.dixon.volume import Trap
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


def test_flaws_are_counted_as_found_missed_or_false_alarms(store):
    manifest = read_manifest(store)
    false = json.dumps([{"trap": str(Trap.GAP), "station": 1, "action": "corrected", "detail": ""}])
    arms = json.dumps([{"trap": str(Trap.CUT_ARMS), "station": 1, "action": "reported", "detail": ""}])
    findings = [manifest["findings"][0], manifest["findings"][1], false, arms, *manifest["findings"][4:]]
    manifest = manifest.with_columns(
        findings=pl.Series(findings), mri_sha256=pl.lit("a"), error=pl.lit(""), stage=pl.lit("curves")
    )
    verdict = judge(store, manifest, store.parent / "truth")
    rows = {row["flaw"]: row for row in verdict.flaws}
    visits = len(manifest)
    wanted = {"planted": 2, "found": 1, "refused": 0, "clean": visits - 2, "false_alarms": 0}
    assert rows["duplicate station"] == {"flaw": "duplicate station", **wanted}
    assert (rows["gap between stations"]["planted"], rows["gap between stations"]["false_alarms"]) == (0, 1)
    wanted |= {"false_alarms": 1}
    assert rows["any of these"] == {"flaw": "any of these", **wanted}
    assert str(Trap.CUT_ARMS) not in rows
    assert sum(verdict.filtered["bent too far"].values()) == 1


def test_a_refusal_is_of_a_missing_station_and_tells_nothing_of_other_flaws(store):
    manifest = read_manifest(store).with_columns(
        findings=pl.lit("[]"), error=pl.lit("IncompleteScanError"), stage=pl.lit("mri")
    )
    visits = len(manifest)
    rows = {row["flaw"]: row for row in judge(store, manifest, store.parent / "truth").flaws}
    assert (rows["duplicate station"]["planted"], rows["duplicate station"]["clean"]) == (0, 0)
    assert (rows["missing station"]["clean"], rows["missing station"]["false_alarms"]) == (visits, visits)
    other = manifest.with_columns(error=pl.lit("TruncatedZipError"), mri_sha256=pl.lit(""))
    rows = judge(store, other, store.parent / "truth").flaws
    assert not any(row["planted"] + row["clean"] for row in rows)


def test_outcomes_are_counted_by_severity(store):
    manifest = read_manifest(store)
    angles = pl.when(pl.col("status") == FAILED).then(None).otherwise(pl.col("ferguson_deg"))
    rows = outcomes(manifest.with_columns(ferguson_deg=angles))
    assert sum(row["visits"] for row in rows) == len(manifest)
    assert rows[-1]["visits"] == rows[-1][FAILED] == (manifest["status"] == FAILED).sum()
    assert [severity(v) for v in (5.99, 6.0, 9.99, 10.0)] == [rows[k]["severity"] for k in (0, 1, 1, 2)]
    bent = manifest.filter(pl.col("ferguson_deg") >= 10)["status"]
    assert rows[2][REJECTED] == (bent == REJECTED).sum()


def test_shares_have_wilson_intervals():
    assert share(3, 40) == "3 of 40 (7.5 %; 2.6 to 19.9)"
    assert share(0, 0) == "–"


def test_a_quantity_has_an_interval():
    document = Quantity("x", "mm", np.arange(50.0)).to_json()
    assert document["mean"] == pytest.approx(24.5)
    assert document["interval95"][0] < 24.5 < document["interval95"][1]
    assert Quantity("x", "mm", np.array([])).to_json()["n"] == 0


def test_truth_of_other_people_is_refused(store, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoScansError, match="no truth"):
        judge(store, read_manifest(store), tmp_path / "empty")


def test_the_page_is_whole_and_calls_nobody(store, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "OVERLAYS", 2)
    manifest = read_manifest(store)
    verdict = judge(store, manifest, tmp_path / "truth")
    write_report(store, manifest, tmp_path / "report.html", verdict)
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "://" not in page
    assert "duplicate station" in page
    assert "48,384 people on 100 cores" in " ".join(page.split())
    assert "Undefined" not in page
    assert "{&#39;" not in page
    tags = re.findall("<img [^>]*>", page)
    assert all('alt="' in tag and 'alt=""' not in tag for tag in tags)
    assert all('scope="' in cell for cell in re.findall("<th[ >][^>]*", page))
    jpegs = re.findall('data:image/jpeg;base64,([^"]*)', page)
    assert len(jpegs) == 4
    assert max(map(len, jpegs)) * 2 * OVERLAYS < 10_000_000  # of noise, which compresses worst
    assert all(Image.open(BytesIO(base64.b64decode(data))).size[0] >= 800 for data in jpegs)


def test_the_command_prints_tables(store, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "OVERLAYS", 1)
    done = CliRunner().invoke(
        app, ["report", str(store), "--truth", str(tmp_path / "truth")], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert "{" not in done.output
    assert "duplicate station" in done.output
    assert (store / "report.html").is_file()
    assert {"flaws", "errors", "filter"} == json.loads((store / "verdict.json").read_text()).keys()
