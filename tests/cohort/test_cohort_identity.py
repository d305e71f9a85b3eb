"""Archives of two people are never a pair, unless their headers say nothing."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from dixon_cases import phantom_stations
from io_cases import visit_zip

from spinelift.cohort.record import FAILED, all_parts, write_part
from spinelift.cohort.stages import Settings, process_visit
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.volume import StitchGrid
from spinelift.io.identity import FIELDS
from spinelift.io.visits import Visit
from spinelift.simulate.archive import dixon, dxa, headers

PEOPLE = (1234567, 1234568, 1234569)
GRID = StitchGrid(voxel_mm=4.0, shape=(350, 112, 112), coarse=2)


def archives(folder):
    folder.mkdir()
    stations = [s for s in phantom_stations() if s.contrast in ("F", "W")]
    for eid in PEOPLE:
        visit_zip(folder, eid=eid)
        dixon.write_dixon_zip(folder, stations, eid=eid, instance=2, rng=np.random.default_rng(eid))
    return folder


def records(folder, settings, pairs):
    """Records of pairs up to the MRI's network, of which there is none."""
    for one, other in pairs:
        visit = Visit(one, 2, folder / f"{one}_20158_2_0.zip", folder / f"{other}_20201_2_0.zip")
        yield process_visit(visit, settings, "test")


@pytest.fixture
def coarse(monkeypatch):
    monkeypatch.setattr("spinelift.cohort.stages.read_dixon", partial(read_dixon, grid=GRID))


def test_cross_pairs_are_refused_and_their_records_hold_no_identity(tmp_path, no_networks, coarse):
    folder, parts = archives(tmp_path / "in"), tmp_path / "parts"
    pairs = [(a, b) for a, b in product(PEOPLE, PEOPLE) if a != b]
    birthdays = [headers.invent_study(e, 2, np.random.default_rng(0)).PatientBirthDate for e in PEOPLE]
    for (_, other), record in zip(pairs, records(folder, Settings(), pairs), strict=True):
        assert (record.status, record.stage, record.error) == (FAILED, "mri", "IdentityMismatchError")
        assert "PatientID" in record.message
        assert not any(text in repr(record) for text in birthdays)
        assert str(other) not in record.message + repr(record.warnings) + repr(record.findings)
        write_part(parts, record)
    for path in all_parts(parts):
        with np.load(path) as held:
            assert not any(text.encode() in held["record"].tobytes() for text in birthdays)
    for record in records(folder, Settings(), [(e, e) for e in PEOPLE]):
        assert record.stage == "mri_mask"
    (ignored,) = records(folder, Settings(ignore_identity=True), pairs[:1])
    assert ignored.stage == "mri_mask"


def test_cross_pairs_without_headers_are_read(tmp_path, no_networks, coarse, monkeypatch):
    def anonymous(*args):
        study = headers.invent_study(*args)
        for name in FIELDS:
            setattr(study, name, "")
        return study

    for module in (dxa, dixon):
        monkeypatch.setattr(module, "invent_study", anonymous)
    folder = archives(tmp_path / "in")
    pairs = [(a, b) for a, b in product(PEOPLE, PEOPLE) if a != b]
    assert {record.stage for record in records(folder, Settings(), pairs)} == {"mri_mask"}
