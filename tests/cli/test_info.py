import zipfile

import pytest
from predict_cases import write_bundle
from typer.testing import CliRunner

from spinelift.bundle import EncodersCard, MriSegmenterCard, PredictionCard, load_any, load_bundle
from spinelift.bundle.bundle import SHIPPED
from spinelift.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["info", *map(str, arguments)])


def test_the_default_card_is_printed_whole():
    card, output = load_bundle(PredictionCard).card, run().output
    for text in (card.name, card.version, card.licence, *card.limits, card.training.data, "95 % interval"):
        assert text in output
    for metric in card.metrics:
        assert metric.name in output
        assert metric.interval95 is None or f"{metric.interval95[0]:.4g} to" in output


@pytest.mark.parametrize("kind", [PredictionCard, MriSegmenterCard, EncodersCard])
def test_a_set_of_any_kind(kind):
    assert isinstance(load_any(SHIPPED / kind.SHIPPED).card, kind)
    assert run(SHIPPED / kind.SHIPPED).exit_code == 0


def test_zips_and_what_is_no_bundle(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    assert "fake 0.0.1" in run(tmp_path / "bundle.zip").output
    assert run(tmp_path / "none").exit_code == 30
    for text in ("", "[]", "{}", '{"kind": []}', "\xff"):
        (folder / "card.json").write_text(text, encoding="latin-1")
        assert run(folder).exit_code == 30
