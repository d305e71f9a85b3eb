"""The manifest holds no folders, addresses or header texts, whatever a stage raises."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from dixon_cases import phantom_stations
from hypothesis import given
from hypothesis import strategies as st
from io_cases import visit_zip

from spinelift.cohort import stages
from spinelift.cohort.record import FAILED, failure, read_part, without_folders, write_part
from spinelift.cohort.stages import Settings, process_visit
from spinelift.errors import ConfigError
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.volume import StitchGrid
from spinelift.io.visits import Visit
from spinelift.simulate.archive import dixon, dxa, headers

FOLDER = Path("/data/Doe, John's (private)/20158")
VISIT = Visit(1, 2, FOLDER / "1_20158_2_0.zip", FOLDER / "1_20201_2_0.zip")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("no file /data/John Doe/a.zip", "no file a.zip"),
        ("no file '/data/John Doe/a.zip'", "no file 'a.zip'"),
        (r"no file C:\Users\doe\a.zip.", "no file a.zip."),
        (r"no file \\server\share\a.zip", "no file a.zip"),
        ("worker tcp://10.0.0.1:8786 died", "worker  died"),
        ("water / fat, 3/4", "water / fat, 3/4"),
        ("fat and/or water, 3/4, 0.5 mm", "fat and/or water, 3/4, 0.5 mm"),
        ("[Errno 28] No space left: '/scratch/u/x'", "[Errno 28] No space left: 'x'"),
    ],
)
def test_paths_become_names(text, plain):
    assert without_folders(text) == plain


names = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs", "Cc"]), min_size=3)


@given(st.lists(names.filter(lambda n: n.strip(". ") == n), min_size=2, max_size=4))
def test_folders_of_a_visit_never_appear(folders):
    folder = Path("/", *(f"secret{k}-{name}" for k, name in enumerate(folders)))
    path = folder / "1_20158_2_0.zip"
    for text in (f"no file {path}", f"{folder} is missing", f"{path}: cut, in '{folder}'"):
        error = ConfigError(found=text, expected="another", do="Check it.")
        message = failure(error, [path])["message"]
        assert not any(f"secret{k}" in message for k in range(len(folders) - 1))
        assert "1_20158_2_0.zip" in message or "is missing" in message


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad value DOE^JOHN in (0010,0010)"),
        FileNotFoundError(2, "No such file or directory", str(VISIT.dxa)),
        OSError(28, "No space left on device", "/scratch/doe/x"),
        UnicodeDecodeError("utf-8", b"DOE^JOHN", 0, 1, "invalid"),
        KeyError("DOE^JOHN"),
        ConfigError(found=f"DXA {VISIT.dxa} without pixels", expected="pixels", do="Look."),
    ],
)
def test_texts_of_errors_hold_nothing_of_a_person(monkeypatch, tmp_path, error):
    def raises(*_):
        raise error

    monkeypatch.setattr(stages, "_run", raises)
    monkeypatch.setattr(Visit, "fingerprint", "")
    record = process_visit(VISIT, Settings(), "test")
    write_part(tmp_path, record)
    message = read_part(next(tmp_path.rglob("*.npz"))).message
    assert record.status == FAILED
    assert message
    for text in ("DOE", "doe", "Doe", "data", "scratch", "private"):
        assert text not in message
    assert isinstance(error, ConfigError) == ("1_20158_2_0.zip without pixels" in message)
    if isinstance(error, OSError):
        assert error.strerror in message


def test_headers_of_hostile_archives_never_reach_a_message(tmp_path, monkeypatch):
    """A phantom whose patient's name is a path; the networks, which there are none of, end the visit."""

    def invent(*args):
        study = headers.invent_study(*args)
        study.PatientName = "/home/DOE^JOHN/../x"
        return study

    monkeypatch.setattr(stages, "_networks", lambda *_: (None, None, None))
    grid = StitchGrid(voxel_mm=4.0, shape=(350, 112, 112), coarse=2)
    monkeypatch.setattr(stages, "read_dixon", partial(read_dixon, grid=grid))
    for module in (dixon, dxa):
        monkeypatch.setattr(module, "invent_study", invent)
    folder = tmp_path / "Doe; John"
    folder.mkdir()
    stations = [s for s in phantom_stations() if s.contrast in ("F", "W")]
    dixon.write_dixon_zip(folder, stations[:4], eid=1234567, instance=2, rng=np.random.default_rng(1))
    visit_zip(folder, eid=1234567)
    visit = Visit(1234567, 2, folder / "1234567_20158_2_0.zip", folder / "1234567_20201_2_0.zip")
    record = process_visit(visit, Settings(), "test")
    assert record.status == FAILED
    assert not any(text in repr(record) for text in ("DOE", "Doe", "JOHN", str(tmp_path)))
