import ast
import re
import shlex
import subprocess
import tomllib
from importlib.metadata import version

import pytest
from readme_commands import ROOT, blocks, commands
from typer.testing import CliRunner

from spinelift import __version__
from spinelift.cli import app

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_starts_with_the_two_commands():
    assert blocks()[0].splitlines() == ["make demo", "make test"]


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make ")])
def test_make_targets_exist(command):
    subprocess.run(
        ["make", "--dry-run", *shlex.split(command)[1:]], cwd=ROOT, check=True, capture_output=True
    )


@pytest.mark.parametrize("command", [c for c in commands() if "spinelift " in c and "pip" not in c])
def test_spinelift_commands_and_their_options_exist(command):
    words = shlex.split(command)
    start = next(i for i, word in enumerate(words) if word.endswith("spinelift")) + 1
    names = [w for w in words[start : start + 2] if re.fullmatch(r"[a-z-]+", w) and not w.startswith("-")]
    result = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0, result.output
    for option in (w for w in words if re.fullmatch(r"--?[a-z-]+", w)):
        assert option in result.output, option


def test_python_blocks_are_python():
    for block in blocks("python"):
        ast.parse(block)


def test_links_and_pictures_exist():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_files_that_commands_read_exist():
    named = {word for c in commands() for word in shlex.split(c) if word.endswith((".zip", ".png"))}
    assert [word for word in named if not (ROOT / word).exists()] == []


def test_versions_agree():
    assert version("spinelift") == __version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_base_install_is_without_what_is_heavy():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=\[]", line)[0] for line in project["dependencies"]}
    assert not names & {"torch", "numba", "monai", "timm", "zarr", "myo-sim"}
