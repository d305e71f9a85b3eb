import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinelift.cli import options
from spinelift.errors import ConfigError, MissingExtraError
from spinelift.geometry import Spacing

SIZES = st.floats(min_value=1e-3, max_value=1e3)


@given(SIZES, SIZES)
def test_a_spacing_is_rows_then_columns(row, col):
    assert options.parse_spacing(f"{row!r}, {col!r}") == Spacing(row, col)


@pytest.mark.parametrize("text", ["", "2.4", "2.4,", "2.4,2.4,2.4", "2.4;2.4", "0,2", "-1,2", "nan,2"])
def test_anything_but_two_positive_numbers_is_refused(text):
    with pytest.raises(ConfigError, match="ROW,COL"):
        options.parse_spacing(text)


def test_a_missing_extra_names_its_installation(monkeypatch):
    monkeypatch.setitem(options.PACKAGES, "train", ("numpy", "no_such_package"))
    with pytest.raises(MissingExtraError, match=r"no_such_package.*pip install 'spinelift\[train\]'"):
        options.require_extra("train")
