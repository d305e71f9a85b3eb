"""The wheel: what it holds, and that it works without the checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: pip install 'spinelift[dev]'")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--no-index", "--wheel-dir", folder, ROOT]
    subprocess.run(command, check=True, timeout=300)
    (built,) = folder.glob("spinelift-*-py3-none-any.whl")
    return built


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "spinelift"
    own = {
        f"spinelift/{path.relative_to(package).as_posix()}" for path in package.rglob("*") if path.is_file()
    }
    own = {name for name in own if "__pycache__" not in name}
    assert {name for name in names if ".dist-info/" not in name} == own
    needed = (
        *("py.typed", "bundles/default/card.json", "bundles/default/regressor.onnx", "configs/default.yaml"),
        *("demo/truth.json", "cohort/templates/report.html"),
    )
    assert [name for name in needed if f"spinelift/{name}" not in names] == []
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_says_what_it_needs(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = archive.read(name).decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "\nRequires-Python: >=3.11\n" in metadata
    for extra in project["optional-dependencies"]:
        assert f"\nProvides-Extra: {extra}\n" in metadata


def test_demo_runs_from_the_unpacked_wheel(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    place = "import spinelift; print(spinelift.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(site), "NO_COLOR": "1"}
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 300}
    found = subprocess.run([sys.executable, "-c", place], check=True, **options).stdout
    assert Path(found.strip()).is_relative_to(site)
    done = subprocess.run([sys.executable, "-m", "spinelift", "demo", "--out", "out"], check=True, **options)
    assert "coronal MAE" in done.stdout
    assert (tmp_path / "out" / "1900003_2_0" / "spine.html").stat().st_size > 100_000


def test_every_extra_is_described():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert [name for name in project["optional-dependencies"] if f"| `{name}` |" not in text] == []
