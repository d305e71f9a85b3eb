import re
from collections import Counter
from pathlib import Path

import pytest
from exit_codes import FORMATS, table, with_table
from rooms import PICTURE, drawing

from spinelift.config import packaged_configs

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def test_the_table_of_exit_codes_is_complete():
    text = FORMATS.read_text(encoding="utf-8")
    assert with_table(text) == text, "run: python tests/docs/exit_codes.py"


def test_the_drawing_of_rooms_is_that_of_the_table():
    assert PICTURE.read_text(encoding="utf-8") == drawing(), "run: python tests/docs/rooms.py"


def test_no_two_errors_share_an_exit_code():
    codes = Counter(re.findall(r"^\| (\d+) \|", table(), re.MULTILINE))
    assert set(codes.values()) == {1}
    assert min(map(int, codes)) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_pictures_are_small():
    pictures = [path for path in (DOCS / "images").iterdir() if path.suffix == ".png"]
    assert [path.name for path in pictures if path.stat().st_size > 150_000] == []
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [path.name for path in pictures if f"images/{path.name}" not in text] == []


def test_every_configuration_is_described_in_training():
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    assert [name for name in packaged_configs() if f"`{name}`" not in text] == []


def test_every_page_is_in_the_contents():
    listed = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name not in listed] == []
