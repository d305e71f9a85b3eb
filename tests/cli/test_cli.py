import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from predict_cases import SPACING, spine_png, write_bundle
from typer.testing import CliRunner

import spinelift
from spinelift.cli import COMMANDS, app
from spinelift.report import PICTURE_NAMES

PIXEL = f"{SPACING.row_mm},{SPACING.col_mm}"
HEAVY = ("torch", "numba", "onnxruntime", "scipy", "matplotlib", "trimesh", "pydicom", "numpy")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"))


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


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
    assert {p.name for p in folder.iterdir()} == {*PICTURE_NAMES, "curves.json", "curves.csv", "run.json"}
    assert json.loads((folder / "curves.json").read_text())["spine_id"] == folder.name
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
    assert "gone.zip,NoScansError,20," in (out / "failed.csv").read_text()
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
