"""The filter by overlap: `align` and `cohort build` decide alike, and another threshold decides again."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from align_cases import body_pair, column_pair, truth_of

from spinelift.align import MIN_OVERLAP
from spinelift.align.pipeline import align_pair
from spinelift.align.plane import PairMasks
from spinelift.cli.cohort import app
from spinelift.cohort import stages
from spinelift.cohort.record import DONE, REJECTED
from spinelift.cohort.stages import Settings, process_visit
from spinelift.geometry import Spacing, SpineFrame
from spinelift.io.identity import NOBODY
from spinelift.io.visits import Visit

TRUTH = truth_of(1.2, 215.0, 350.0, about=(8.0, 48.0))


@pytest.fixture
def pair(monkeypatch, tmp_path):
    """A visit whose archives hold a bent pair, and its alignment alone."""
    (dxa, mri), masks = body_pair(TRUTH), PairMasks(*column_pair(TRUTH, bend_mm=20.0))
    frame = SpineFrame(Spacing(2.2, 2.1), 0.0, 60.0, 2.2)
    location = SimpleNamespace(frame=frame, warnings=[], confidence=0.9)
    scan = SimpleNamespace(
        bone=dxa.pixels[0], spacing=dxa.grid.spacing, sha256="", warnings=[], identity=NOBODY
    )
    spine = SimpleNamespace(mask=None, warnings=[])
    networks = (
        SimpleNamespace(locate=lambda _: location, bundle=SimpleNamespace(ref=SimpleNamespace(sha256="a"))),
        SimpleNamespace(segment=lambda _: spine, digest="b"),
        None,
    )
    volume = SimpleNamespace(findings=[], sha256="", identity=NOBODY)
    stand_ins = {
        "_networks": networks, "read_dxa": scan, "read_dixon": volume,
        "located_mask": masks.dxa, "project_mask": masks.mri, "project_volume": mri, "ferguson": 3.0,
        "curves_of_pair": SimpleNamespace(px=np.zeros((6, 209))),
    }  # fmt: skip
    for name, value in stand_ins.items():
        monkeypatch.setattr(stages, name, lambda *_, value=value: value)
    for name in ("dxa.zip", "mri.zip"):
        (tmp_path / name).write_bytes(b"x")
    visit = Visit(1, 2, tmp_path / "dxa.zip", tmp_path / "mri.zip")
    return visit, lambda least: align_pair(dxa, mri, masks, min_iou=least)


def test_align_and_cohort_decide_alike(pair):
    visit, alone = pair
    iou = alone(MIN_OVERLAP).iou[-1]
    assert 0.5 < iou < 0.95
    for least, kept in ((iou - 1e-6, True), (iou, True), (iou + 1e-6, False), (0.0, True), (1.0, False)):
        record = process_visit(visit, Settings(min_iou=least), "test")
        assert record.status == (DONE if kept else REJECTED), record.message
        assert alone(least).accepted == kept
        assert record.values["iou"] == pytest.approx(iou, abs=1e-5)


def test_the_manifests_shift_is_along_z(pair):
    visit, alone = pair
    values = process_visit(visit, Settings(), "test").values
    x, z = alone(MIN_OVERLAP).transform.shift_mm
    assert (values["dx_mm"], values["dz_mm"]) == (round(x, 5), round(z, 5))
    assert not any(name.startswith("dy") for name in values)


def test_another_threshold_has_another_hash(pair):
    settings = Settings()
    assert settings.min_iou == MIN_OVERLAP
    assert replace(settings, min_iou=0.6).load_and_hash() != settings.load_and_hash()
    assert Settings().load_and_hash() == settings.load_and_hash()


def test_the_command_passes_the_threshold_on(monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from spinelift.cohort import build

    class StopError(Exception):
        pass

    def take(plan, **_):
        raise StopError(plan.settings.min_iou)

    monkeypatch.setattr(build, "build", take)
    command = ["build", "--dxa", str(tmp_path), "--mri", str(tmp_path), "--out", str(tmp_path / "out")]
    for extra, wanted in (([], MIN_OVERLAP), (["--min-iou", "0.55"], 0.55)):
        with pytest.raises(StopError) as stopped:
            CliRunner().invoke(app, [*command, *extra], catch_exceptions=False)
        assert stopped.value.args == (wanted,)
