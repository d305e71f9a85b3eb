"""Examples in docstrings are run."""

import doctest
import re
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


@pytest.mark.parametrize("page", sorted(SOURCE.parent.glob("docs/**/*.md")), ids=lambda page: page.stem)
def test_examples_of_the_pages_give_what_they_show(page, monkeypatch):
    monkeypatch.chdir(SOURCE.parent)
    text = "".join(re.findall(r"```pycon\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    found = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert not runner.run(found).failed
