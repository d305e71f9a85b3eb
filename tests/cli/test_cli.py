import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from predict_cases import SPACING, spine_png, write_bundle
from typer.testing import CliRunner

import spinelift
from spinelift.cli import COMMANDS, app
from spinelift.report import picture_names

PIXEL = f"{SPACING.row_mm},{SPACING.col_mm}"
HEAVY = ("torch", "numba", "onnxruntime", "scipy", "matplotlib", "trimesh", "pydicom", "numpy")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"))


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(a) for a in arguments], **options)


def rows(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def predict(bundle, tmp_path):
    """Run ``predict`` in this process, numbers only."""

    def predict(*arguments, out=tmp_path / "out", **options):
        fixed = ("-o", out, "--spacing", PIXEL, "--bundle", bundle, "--no-pictures")
        return run("predict", *fixed, *arguments, **options)

    return predict


def test_version_and_help():
    assert run("--version").output.strip() == f"spinelift {spinelift.__version__}"
    text = run("--help").output
    for name in COMMANDS:
        assert name in text
    helped = run("predict", "--help")
    assert helped.exit_code == 0
    assert "spinelift predict 1234567_20158_2_0.zip" in helped.output


def test_no_command_module_imports_what_is_heavy():
    names = [f"spinelift.cli.{name}" for name in COMMANDS]
    code = (
        "import sys, importlib; import spinelift, spinelift.cli\n"
        f"[importlib.import_module(n) for n in {names!r}]\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_command_has_an_app():
    for name in COMMANDS:
        assert import_module(f"spinelift.cli.{name}").app


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_offers_to_install_its_own_completion(name):
    assert "completion" not in run(name, "--help").output


def test_one_scan_with_all_outputs(bundle, tmp_path):
    scan, out = spine_png(tmp_path / "scan.png"), tmp_path / "out"
    result = run("predict", scan, "-o", out, "--spacing", PIXEL, "--bundle", bundle, "--threads", 1)
    assert result.exit_code == 0, result.output
    (folder,) = (p for p in out.iterdir() if p.is_dir())
    assert {p.name for p in folder.iterdir()} == {*picture_names(), "curves.json", "curves.csv", "run.json"}
    assert json.loads((folder / "curves.json").read_text())["scan_id"] == folder.name
    assert "scan.png" in result.output
    assert not (out / "failed.csv").exists()


def test_a_mistake_is_told_and_has_its_exit_code(bundle, tmp_path):
    scan, out = spine_png(tmp_path / "scan.png"), tmp_path / "out"
    cases = [
        ((scan,), 15, "NoSpacingError"),
        ((scan, "--spacing", "2.4"), 32, "ROW,COL"),
        ((scan, "--spacing", "0,1"), 32, "ROW,COL"),
        ((tmp_path / "none.zip", "--spacing", PIXEL), 20, "NoScansError"),
        ((scan, "--spacing", PIXEL, "--bundle", tmp_path / "none"), 30, "BundleError"),
        ((), 2, ""),
        ((scan, "--workers", "0"), 2, ""),
        (("--list", tmp_path / "none.txt"), 20, "a list none.txt"),
        (("--list", os.devnull), 20, "without any path"),
        ((scan, "--threads", "0"), 2, ""),
    ]
    for arguments, code, words in cases:
        extra = () if "--bundle" in arguments else ("--bundle", bundle)
        result = run("predict", *arguments, "-o", out, "--no-pictures", *extra)
        assert result.exit_code == code, (arguments, result.output)
        assert words in result.output
        assert "Traceback" not in result.output


def test_one_bad_path_among_good_ones_is_a_row(bundle, tmp_path):
    scan, out = spine_png(tmp_path / "scan.png"), tmp_path / "out"
    result = run(
        "predict",
        scan,
        tmp_path / "gone.zip",
        "-o",
        out,
        "--spacing",
        PIXEL,
        "--bundle",
        bundle,
        "--no-pictures",
    )
    assert result.exit_code == 3
    (row,) = rows(out / "failed.csv")
    assert (row["file"], row["error"], row["exit_code"]) == ("gone.zip", "NoScansError", "20")
    assert "1 of 2 scans failed" in result.output


def test_earlier_results_are_not_taken_for_scans(bundle, tmp_path):
    spine_png(tmp_path / "scan.png")
    arguments = ("predict", tmp_path, "-o", tmp_path / "out", "--spacing", PIXEL, "--bundle", bundle)
    assert run(*arguments).exit_code == 0
    again = run(*arguments)
    assert again.exit_code == 0, again.output
    only_results = run("predict", tmp_path / "out", "--spacing", PIXEL, "--bundle", bundle)
    assert only_results.exit_code == 20


def test_the_installed_program_speaks_on_stderr_and_ends_with_the_code(tmp_path):
    program = Path(sys.executable).with_name("spinelift")
    command = (
        [str(program)]
        if program.exists()
        else [sys.executable, "-c", "from spinelift.cli import main; main()"]
    )
    done = subprocess.run([*command, "predict", str(tmp_path / "none")], capture_output=True, text=True)
    assert done.returncode == 20
    assert "Found" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_other_people_are_refused_where_the_simulator_has_none(tmp_path):
    pytest.importorskip("torch")
    result = run("simulate", "training", "--out", tmp_path / "a.zarr", "--whole-body", "--other")
    assert result.exit_code == 32
    assert not (tmp_path / "a.zarr").exists()


def test_the_root_completes_commands_and_options():
    program = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'spinelift'; from spinelift.cli import main; main()",
    ]
    for words, want in (("spinelift pre", "predict"), ("spinelift predict --save", "--save-mask")):
        asked = {
            "_SPINELIFT_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        done = subprocess.run(program, env={**os.environ, **asked}, capture_output=True, text=True)
        assert want in done.stdout.split()
    text = run("--help").output
    assert "--install-completion" in text
    assert "--show-completion" in text


def test_a_list_from_a_file_and_from_standard_input(predict, tmp_path):
    scans = [spine_png(tmp_path / f"{k}.png", bottom=(335.0, 830.0 - 9 * k)) for k in range(2)]
    text = "\ufeff" + "\r\n".join(map(str, [*scans, ""]))
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    assert predict("--list", tmp_path / "list.txt", "--workers", 1).exit_code == 0
    ended = "\0".join(map(str, scans)).encode()
    again = predict("--list", "-", "--workers", 1, input=ended)
    assert again.exit_code == 0
    assert "2 scans already done" in again.output
    pattern = predict(tmp_path / "[01].png", "--overwrite", "--workers", 1)
    assert "2 new, 2 results" in pattern.output


def test_what_was_passed_over_is_said(predict, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    scan = spine_png(folder / "a.png")
    (folder / "sub").mkdir()
    (folder / "sub" / "a.png").write_bytes(scan.read_bytes())
    (folder / "b.zip").symlink_to(folder / "gone")
    (folder / "notes.txt").write_text("no scan")
    result = predict(folder)
    assert result.exit_code == 0
    assert "ignored 1 broken link, 1 file of another kind" in result.output
    assert "merged 1 duplicate" in result.output


def test_a_lost_result_is_said(predict, tmp_path):
    scan = spine_png(tmp_path / "a.png")
    assert predict(scan).exit_code == 0
    scan.write_bytes(b"\x89PNG\r\n\x1a\n")
    result = predict(scan)
    assert result.exit_code == 22
    assert "removed the earlier results of 1 scan that failed now: a" in result.output


def test_quiet_and_verbose(predict, tmp_path, monkeypatch):
    scan = spine_png(tmp_path / "a.png")
    assert predict(scan, "--quiet").output == ""
    assert "a.png: done before" in predict(scan, "--verbose").output

    def broken(*_, **__):
        raise ValueError("a fault at /home/someone")

    monkeypatch.setattr("spinelift.inference.task.read_dxa", broken)
    plain, loud = (predict(scan, "--overwrite", *more) for more in ((), ("--verbose",)))
    assert plain.exit_code == loud.exit_code == 1
    assert "unexpected ValueError" in plain.output
    assert "/home/someone" not in plain.output
    assert "Traceback" not in plain.output
    assert "ValueError: a fault at /home/someone" in loud.output


@pytest.mark.parametrize(
    "command",
    [
        ["predict", ""],
        ["predict", "a.zip", "-o", ""],
        ["cohort", "build", "--dxa", "", "--mri", "b", "-o", "c"],
    ],
)
def test_an_empty_argument_is_not_the_current_folder(command):
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "empty argument" in result.output


def test_an_output_folder_whose_name_is_no_text(bundle, tmp_path):
    """The console shows it with escapes, whatever its encoding."""
    out = os.fsencode(tmp_path) + b"/caf\xe9 \xe2\x86\x92"
    command = [sys.executable, "-m", "spinelift", "predict", spine_png(tmp_path / "a.png"), "-o", out]
    command += ["--spacing", PIXEL, "--no-pictures", "--overwrite", "--bundle", bundle]
    for encoding in ("utf-8", "ascii"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(command, capture_output=True, env=environment)
        assert done.returncode == 0, done.stderr
        assert b"caf" in done.stdout


def test_a_mask_needs_nibabel(predict, tmp_path, monkeypatch):
    scan = spine_png(tmp_path / "a.png")
    assert predict(scan, "--save-mask").exit_code == 0
    assert {"mask.png", "mask.nii.gz"} < {p.name for p in (tmp_path / "out" / "a").iterdir()}
    monkeypatch.setattr("spinelift.cli.options.find_spec", lambda name: None if name == "nibabel" else name)
    result = predict(scan, "--save-mask")
    assert result.exit_code == 31
    assert "spinelift[mri]" in result.output


def test_dicom_objects_need_highdicom_and_one_kind(predict, tmp_path, monkeypatch):
    scan = spine_png(tmp_path / "a.png")
    result = predict(scan, "--dicom")
    assert result.exit_code == 22
    assert "without a DICOM header" in " ".join(result.output.split())
    assert predict(scan, "--dicom", "--dicom-deidentified").exit_code == 2
    monkeypatch.setattr("spinelift.cli.options.find_spec", lambda name: None if name == "highdicom" else name)
    result = predict(scan, "--dicom-deidentified")
    assert result.exit_code == 31
    assert "spinelift[dicom]" in result.output


@pytest.mark.skipif(not hasattr(signal, "SIGTERM") or os.name == "nt", reason="no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_writes_the_tables_and_ends_with_its_code(bundle, tmp_path, number, code):
    scans = [spine_png(tmp_path / f"{k}.png", bottom=(335.0, 830.0 - k)) for k in range(30)]
    out = tmp_path / "out"
    options = f"--no-pictures --spacing {PIXEL} --workers 1 -o".split()
    command = [sys.executable, "-m", "spinelift", "predict", *map(str, scans), *options, str(out)]
    command += ["--bundle", str(bundle)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(list(out.glob("*/run.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, log = process.communicate(timeout=60)
    assert process.returncode == code, log
    assert "Traceback" not in log
    assert "the same command continues" in log
    assert "/30, " in log  # count, rate and time left, without a terminal
    done = len(rows(out / "summary.csv"))
    assert 0 < done < 30
    assert not (out / "failed.csv").exists()
