import pytest

from spinelift.cli.options import parse_formats
from spinelift.errors import ConfigError
from spinelift.inference.calibrate import image_share


def test_formats_of_the_figure():
    assert parse_formats("png") == ("png",)
    assert parse_formats("PDF, svg,pdf") == ("pdf", "svg")
    for text in ("", "jpg", "png,,pdf"):
        with pytest.raises(ConfigError, match="figure-format"):
            parse_formats(text)


def test_share_of_the_image():
    assert image_share(None) is None
    assert image_share(1.0) == image_share(1.3) == 0.0
    assert image_share(0.0) == 1.0
    assert image_share(0.5) == pytest.approx(0.75)
