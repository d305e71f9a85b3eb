import csv
import json

import numpy as np
import pytest
from PIL import Image
from predict_cases import SPACING, spine_image, spine_png, spine_scan, write_bundle

from spinelift.errors import ConfigError, NoSpineError, OutputError
from spinelift.inference import load_model
from spinelift.inference.batch import run_batch
from spinelift.inference.outputs import result_folder, write_result


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(write_bundle(tmp_path_factory.mktemp("bundle")), threads=1)


def no_spine_png(path):
    Image.fromarray(np.minimum(spine_image(), 110).astype(np.uint8)).save(path)
    return path


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_failures_are_rows_and_the_rest_go_on(model, tmp_path):
    scans = [
        no_spine_png(tmp_path / "a.png"),
        spine_png(tmp_path / "b.png"),
        tmp_path / "empty.png",
        spine_png(tmp_path / "d.png", bottom=(330.0, 800.0)),
    ]
    scans[2].touch()
    out, seen = tmp_path / "out", []
    report = run_batch(model, scans, out, spacing=SPACING, on_done=seen.append)
    assert seen == scans
    assert [s.name for s in report.good] == ["b.png", "d.png"]
    assert report.exit_code == 3
    failed = rows(out / "failed.csv")
    assert [(r["input"], r["error"], r["exit_code"]) for r in failed] == [
        ("a.png", "NoSpineError", "19"),
        ("empty.png", "EmptyFileError", "10"),
    ]
    assert all(r["message"].startswith("Found ") for r in failed)
    summary = rows(out / "summary.csv")
    assert [r["scan_id"] for r in summary] == [s.scan_id for s in report.good]
    assert float(summary[1]["height_mm"]) == pytest.approx(470, abs=5)
    for success in report.good:
        names = {p.name for p in (out / success.scan_id).iterdir()}
        assert names == {"curves.json", "curves.csv", "run.json"}


def test_exit_codes(model, tmp_path):
    good, bad = spine_png(tmp_path / "b.png"), no_spine_png(tmp_path / "a.png")
    empty = tmp_path / "e.png"
    empty.touch()
    for scans, code in (([good], 0), ([bad], 19), ([bad, bad], 19), ([bad, empty], 3), ([bad, good], 3)):
        assert run_batch(model, scans, tmp_path / "out", spacing=SPACING).exit_code == code
    assert (tmp_path / "out" / "failed.csv").exists()
    run_batch(model, [good], tmp_path / "out", spacing=SPACING)
    assert not (tmp_path / "out" / "failed.csv").exists()


def test_running_again_overwrites_what_it_wrote_and_nothing_else(model, tmp_path):
    scan, out = spine_png(tmp_path / "b.png"), tmp_path / "out"
    make = lambda prediction: {"overlay.png": b"first"}  # noqa: E731
    first = run_batch(model, [scan], out, spacing=SPACING, pictures=make, picture_names=("overlay.png",))
    folder = out / first.good[0].scan_id
    before = (folder / "curves.json").read_bytes()
    (folder / "mine.txt").write_text("keep")
    run_batch(model, [scan], out, spacing=SPACING, picture_names=("overlay.png",))
    assert {p.name for p in folder.iterdir()} == {"curves.json", "curves.csv", "run.json", "mine.txt"}
    assert (folder / "curves.json").read_bytes() == before


def test_run_json_says_what_was_done_and_nothing_personal(model, tmp_path):
    prediction = model.predict(spine_scan())
    folder = write_result(
        prediction, tmp_path, pictures={"a.png": b"1"}, threads=1, timings_ms={"pictures": 3.0}
    )
    assert folder == tmp_path / "1234567_2"
    record = json.loads((folder / "run.json").read_text())
    assert record["scan_id"] == "1234567_2"
    assert record["input_sha256"] == "ab" * 32
    assert record["bundle"]["sha256"] == model.bundle.ref.sha256
    assert record["files"] == ["a.png", "curves.csv", "curves.json"]
    assert record["timings_ms"]["segment"] > 0
    assert record["timings_ms"]["pictures"] == 3.0
    assert record["versions"]["onnxruntime"]
    assert str(tmp_path) not in json.dumps(record)
    assert "shift_score" in prediction.run_record()


def test_the_same_file_twice_is_one_result_and_two_files_of_one_id_are_told(model, tmp_path, monkeypatch):
    scan = spine_png(tmp_path / "b.png")
    (tmp_path / "sub").mkdir()
    copy = spine_png(tmp_path / "sub" / "b.png")
    report = run_batch(model, [scan, copy], tmp_path / "out", spacing=SPACING)
    assert len(report.good) == 1
    assert report.exit_code == 0

    import dataclasses

    from spinelift.inference import batch

    hashes = iter(["1" * 64, "2" * 64])
    monkeypatch.setattr(
        batch, "read_dxa", lambda path, **_: dataclasses.replace(spine_scan(), sha256=next(hashes))
    )
    report = run_batch(model, [scan, copy], tmp_path / "out")
    assert isinstance(report.failed[0].error, ConfigError)
    assert "1234567_2" in report.failed[0].error.found


def test_an_interrupted_run_keeps_its_tables(model, tmp_path):
    def stop(path):
        raise KeyboardInterrupt

    scans = [spine_png(tmp_path / "b.png"), tmp_path / "never.png"]
    with pytest.raises(KeyboardInterrupt):
        run_batch(model, scans, tmp_path / "out", spacing=SPACING, on_done=stop)
    assert len(rows(tmp_path / "out" / "summary.csv")) == 1


def test_an_odd_scan_id_makes_no_folder(tmp_path):
    for name in ("../x", "", "a/b", ".hidden"):
        with pytest.raises(ConfigError):
            result_folder(tmp_path, name)
    assert result_folder(tmp_path, "1234567_2") == tmp_path / "1234567_2"


def test_an_output_that_cannot_be_written_is_told(model, tmp_path):
    scan = spine_png(tmp_path / "b.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        run_batch(model, [scan], tmp_path / "file", spacing=SPACING)
    scan_id = model.predict(scan, spacing=SPACING).scan_id
    out = tmp_path / "out"
    out.mkdir()
    (out / scan_id).write_text("in the way")
    report = run_batch(model, [scan], out, spacing=SPACING)
    assert report.exit_code == 33


def test_errors_come_through_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(NoSpineError(found="a", expected="b", do="c")))
    assert (error.found, error.expected, error.do) == ("a", "b", "c")


def test_no_partial_files_stay(model, tmp_path):
    run_batch(model, [spine_png(tmp_path / "b.png")], tmp_path / "out", spacing=SPACING)
    assert not list((tmp_path / "out").rglob("*.part"))
