"""Examples in docstrings are run."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"


def modules():
    for file in sorted((SOURCE / "spinelift").rglob("*.py")):
        if ">>>" in file.read_text(encoding="utf-8"):
            yield ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", list(modules()))
def test_examples_give_what_they_show(name, monkeypatch):
    monkeypatch.chdir(SOURCE.parent)  # examples read files of the repository
    found = doctest.testmod(import_module(name))
    assert found.attempted
    assert not found.failed
