"""From zips to the table: simulated people whose lateral views show them in another posture."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from io_cases import visit_zip
from typer.testing import CliRunner

from spinelift.cli import app
from spinelift.curves import Curve
from spinelift.errors import ConfigError, NoSpineError
from spinelift.evaluate import lva
from spinelift.evaluate.lva import (
    MEAN,
    METRICS,
    PREDICTED,
    TRUE,
    LvaJob,
    check_scan,
    compare,
    find_spine,
    table,
)
from spinelift.evaluate.lva_files import write_results
from spinelift.evaluate.people import hash_people
from spinelift.geometry import Spacing
from spinelift.geometry.canonical import LATERAL_MM, LATERAL_SHAPE, CanonicalGrid
from spinelift.inference.model import Model
from spinelift.io.truth import read_truth
from spinelift.segment.lateral import LateralSpine, find_line
from spinelift.simulate.people import write_people

SEED = 8801
GRID = CanonicalGrid.lateral(Spacing(LATERAL_MM, LATERAL_MM), LATERAL_SHAPE)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two people with lateral views and one without; the truth beside them."""
    out = tmp_path_factory.mktemp("people")
    write_people(out, people=2, seed=SEED, workers=1, advance=lambda _: None)
    visit_zip(out / "dxa")
    return out


@pytest.fixture(scope="module")
def checks(people):
    job = LvaJob(truth=people / "truth")
    return [check_scan(job, path) for path in sorted((people / "dxa").glob("88*.zip"))]


def test_the_line_found_is_that_of_the_truth_and_so_is_the_shape(checks):
    """The true supine curve, aligned, differs by posture and by the network's error alone."""
    assert [check.error for check in checks] == ["", ""]
    for check in checks:
        assert set(check.aligned) == {PREDICTED, MEAN, TRUE}
        assert check.values(TRUE)["lva_rigid_mae_mm"] < 5
        assert check.values(PREDICTED)["lva_rigid_mae_mm"] < 12
        assert check.confidence > 0.7
        assert check.person == check.scan_id.split("_")[0]


def test_the_network_finds_the_true_line_of_the_lateral_view(people):
    for path in sorted((people / "dxa").glob("88*.zip")):
        truth = read_truth(people / "truth" / f"{path.name.split('_')[0]}_2.json").lva
        _, spine = find_spine(LvaJob(), path)
        y, z = spine.line_mm.T
        error = np.abs(y - np.interp(z, truth.z_mm, truth.sagittal_mm[Curve.SAGITTAL - Curve.ANTERIOR]))
        assert error.mean() < 4
        if spine.bottom_mm is not None:
            assert spine.bottom_mm == pytest.approx(truth.ends_mm[1, 1], abs=25)


def test_the_table_has_every_metric_and_its_baselines(checks):
    rows = table(checks)
    assert [row.name for row in rows] == list(METRICS)
    for row in rows:
        assert set(row.baselines) == {MEAN, TRUE}
        assert row.people == 2
        assert np.isfinite([row.model.value, row.model.low, row.model.high]).all()
    assert table([]) == []
    again = replace(checks[0], scan_id="other")  # a second visit of the same person is no further person
    assert {row.people for row in table([*checks, again])} == {2}


def test_the_command_writes_rows_causes_and_pictures(people, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(map(str, sorted((people / "dxa").glob("*.zip")))))
    run = CliRunner().invoke(app, ["evaluate", "lva", "--list", str(listed), "--out", str(tmp_path / "out")])
    assert run.exit_code == 3, run.output
    assert "2 of 3 scans compared" in run.output
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {
        "lva.csv", "lva.json", "lva.md", "best.png", "median.png", "worst.png"
    }  # fmt: skip
    with (out / "lva.csv").open() as file:
        rows = {row["scan_id"]: row for row in csv.DictReader(file)}
    failed = rows["1234567_2_0"]
    assert (failed["status"], failed["stage"], failed["error"]) == ("failed", "predict", "NoSpineError")
    assert sum(row["status"] == "compared" for row in rows.values()) == 2
    document = json.loads((out / "lva.json").read_text())
    assert (document["scans"], document["compared"]) == (3, 2)
    assert document["failed"] == {"predict: NoSpineError": 1}
    assert [row["name"] for row in document["rows"]] == list(METRICS)
    assert str(people) not in (out / "lva.csv").read_text() + (out / "lva.json").read_text()


def test_people_of_the_training_are_refused(people, monkeypatch):
    model, segmenter = lva._networks(None, None)
    path = sorted((people / "dxa").glob("88*.zip"))[0]
    seen = replace(model.bundle, people=hash_people(np.array([int(path.name.split("_")[0])])))
    monkeypatch.setattr(lva, "_networks", lambda *_: (Model(seen, threads=1), segmenter))
    check = check_scan(LvaJob(), path)
    assert (check.stage, check.error, check.aligned) == ("seen", "ConfigError", {})


def test_nothing_to_compare_is_a_table_without_rows(people, tmp_path):
    job = LvaJob()
    check = check_scan(job, people / "dxa" / "1234567_20158_2_0.zip")
    assert write_results(job, [check], tmp_path / "out") == []
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.parametrize("letters", ["P", "P,P", "L,F", "P,F,H"])
def test_a_senseless_orientation_is_refused(people, letters):
    run = CliRunner().invoke(app, ["evaluate", "lva", str(people / "dxa"), "--orientation", letters])
    assert run.exit_code == ConfigError.exit_code


def line(first: float, last: float) -> np.ndarray:
    z = np.arange(first, last, 1.5)
    return np.stack([20 * np.sin(z / 80), z], 1)


def test_heights_are_matched_at_the_end_that_is_seen():
    curve = line(0.0, 450.0)
    shift = np.array([30.0, -60.0])
    whole = LateralSpine(curve[40:] + shift, None, float(curve[-1, 1] - 60), 0.9)
    assert abs(compare(curve, whole).slide_mm) < 0.5
    top = float(0.1685 * (curve[-1, 1] - curve[0, 1]) - 60)  # T5's upper endplate, LEVEL_HEIGHTS
    cut = LateralSpine(curve[40:-30] + shift, top, None, 0.9)
    assert abs(compare(curve, cut).slide_mm) < 3
    with pytest.raises(NoSpineError, match="neither"):
        compare(curve, LateralSpine(curve, None, None, 0.9))
    with pytest.raises(NoSpineError, match="less than"):
        compare(curve, LateralSpine(curve[-80:], None, 450.0, 0.9))


def maps(first: int, last: int) -> np.ndarray:
    """Maps of a slanted column between two rows, and an island that is no part of it."""
    rows, cols = np.mgrid[: LATERAL_SHAPE[0], : LATERAL_SHAPE[1]]
    centre = 60 + 0.1 * rows
    inside = (np.abs(cols - centre) <= 10) & (rows >= first) & (rows <= last)
    out = np.zeros((3, *LATERAL_SHAPE), np.float32)
    out[0] = inside
    out[0, 300:310, 140:150] = 1
    for channel, row in ((1, first), (2, last)):
        out[channel] = np.exp(-0.5 * ((rows - row) ** 2 + (cols - 60 - 0.1 * row) ** 2) / 9)
    return out


def test_the_line_of_a_drawn_column_is_its_middle():
    spine = find_line(maps(30, 280), GRID)
    y, z = spine.line_mm.T
    np.testing.assert_allclose(y, 60 * LATERAL_MM + 0.1 * z, atol=0.8)
    assert (z[0], z[-1]) == pytest.approx((30 * LATERAL_MM, 280 * LATERAL_MM), abs=2)
    assert spine.top_mm == pytest.approx(30 * LATERAL_MM, abs=0.5)
    assert spine.bottom_mm == pytest.approx(280 * LATERAL_MM, abs=0.5)
    faint = maps(30, 280)
    faint[2] *= 0.1
    assert find_line(faint, GRID).bottom_mm is None


def test_an_end_at_the_edge_of_the_image_does_not_count():
    """A network also marks the end of a column that the image cuts."""
    image = CanonicalGrid.lateral(Spacing(0.25, 0.25), (1760, 800))  # 440 mm of the canvas's 480
    cut = find_line(maps(5, 312), image)
    assert (cut.top_mm, cut.bottom_mm) == (None, None)
    assert find_line(maps(30, 280), image).bottom_mm is not None


@pytest.mark.parametrize(("first", "last"), [(100, 150), (100, 99)])
def test_a_short_column_is_no_column(first, last):
    with pytest.raises(NoSpineError, match="lateral view"):
        find_line(maps(first, last), GRID)
