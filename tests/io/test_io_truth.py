"""The truth of a simulated person: written and read, refused with its place, its column."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from truth_cases import column_fields, simulated_truth

from spinelift.cli.demo import DATA
from spinelift.curves import Curve
from spinelift.errors import ConfigError
from spinelift.io.truth import CURVES, ColumnTruth, mri_with_truth, read_truth, write_truth

Z = np.linspace(100.0, 500.0, 41)
MOVED = {"rotation_deg": 1.5, "dx_mm": 12.0, "dz_mm": 700.0}
TRAP = {"trap": "gap between stations", "station": 2, "detail": {"gap_mm": 7.5, "where": "neck"}}


def truth():
    dxa, mri = column_fields(Z, 300 + 5 * np.sin(Z / 90)), column_fields(Z - 700, 0.1 * Z, y=Z / 50)
    return simulated_truth(dxa=dxa, mri=mri, moved=MOVED, traps=[TRAP])


def test_what_is_written_is_read(tmp_path):
    path = write_truth(tmp_path / "truth", truth())
    assert path.name == "10000000_2.json"
    assert not list(path.parent.glob("*.part"))
    read = read_truth(path)
    assert read.model_dump_json() == truth().model_dump_json()
    np.testing.assert_allclose(read.dxa.curves_mm, truth().dxa.curves_mm)
    assert read.pair.vertebra_centres_mm.shape == (17, 3)
    assert read.pair.traps[0].detail == {"gap_mm": 7.5, "where": "neck"}
    assert read.pair.to_dxa.transform.shift_mm == (12.0, 700.0)
    assert json.loads(path.read_text())["format"] == 1


def test_curves_are_in_the_order_of_the_enum():
    assert [name.upper() for name in CURVES] == [curve.name for curve in Curve]


def test_the_shipped_truth_is_of_the_shipped_archive():
    (archive,) = DATA.glob("*.zip")
    assert archive.name.startswith(read_truth(DATA / "truth.json").scan_id.split("_")[0])


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("format",), 2),
        (("sex",), "female"),
        (("unknown",), 1),
        (("dxa", "z_mm"), [3.0, 2.0]),
        (("dxa", "z_mm"), "text"),
        (("dxa", "z_mm"), None),
        (("dxa", "z_mm"), [0, 10**400]),
        (("dxa", "curves_mm", "left"), [1.0]),
        (("dxa", "curves_mm", "left"), [None] * 41),
        (("dxa", "curves_mm", "middle"), [0.0] * 41),
        (("dxa", "vertebra_centres_mm", "T1"), [1.0, 2.0]),
        (("mri", "to_dxa", "dx_mm"), float("nan")),
        (("mri", "traps"), [{**TRAP, "trap": "gremlins"}]),
        (("mri", "traps"), [{**TRAP, "more": 1}]),
    ],
)
def test_a_wrong_value_is_named(tmp_path, where, value):
    document = json.loads(truth().model_dump_json())
    part = document
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=where[0] if where[0] != "unknown" else "unknown"):
        read_truth(path)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe"])
def test_what_is_no_truth_is_refused(tmp_path, data):
    path = tmp_path / "truth.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="--truth"):
        read_truth(path)
    with pytest.raises(ConfigError, match="no way to read"):
        read_truth(tmp_path / "none.json")


def test_a_dxa_alone_is_no_pair():
    alone = simulated_truth(dxa=column_fields(Z, 0 * Z))
    assert "mri" not in json.loads(alone.model_dump_json(exclude_none=True))
    with pytest.raises(ConfigError, match="without an MRI"):
        assert alone.pair


@given(st.floats(-40, 40), st.floats(60, 540))
def test_depth_is_the_distance_from_the_nearest_edge(x, z):
    column = ColumnTruth(**column_fields(Z, 0 * Z, left=12.0, right=20.0))
    expected = min(12 - x, x + 20, z - 100, 500 - z)
    assert column.depth_mm(np.array([x, z])) == pytest.approx(expected)


def test_only_archives_with_a_truth_are_listed(tmp_path):
    (tmp_path / "mri").mkdir()
    for name in ("10000000_20201_2_0", "10000001_20201_2_0"):
        (tmp_path / "mri" / f"{name}.zip").touch()
    path = write_truth(tmp_path / "truth", truth())
    assert mri_with_truth(tmp_path) == [("10000000_2", tmp_path / "mri" / "10000000_20201_2_0.zip", path)]
