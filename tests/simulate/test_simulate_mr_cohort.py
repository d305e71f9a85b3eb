"""`spinelift simulate cohort`: archives of one person, their truth, and starting again."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from spinelift.cli import app
from spinelift.errors import ConfigError
from spinelift.io.dixon.read import read_dixon
from spinelift.io.truth import read_truth
from spinelift.simulate.people import write_person

RUN = ["simulate", "cohort", "--people", "1", "--seed", "2", "--traps", "0", "--out"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort")
    result = CliRunner().invoke(app, [*RUN, str(out)])
    assert result.exit_code == 0, result.output
    return out


def test_files_have_the_names_of_uk_biobank(cohort: Path) -> None:
    names = sorted(p.relative_to(cohort).as_posix() for p in cohort.rglob("*") if p.is_file())
    assert names == [
        "dxa/30000000_20158_2_0.zip",
        "mri/30000000_20201_2_0.zip",
        "truth/30000000_2.json",
    ]


def test_a_complete_person_is_not_made_again(cohort: Path) -> None:
    files = [p for p in cohort.rglob("*") if p.is_file()]
    before = [p.stat().st_mtime_ns for p in files]
    assert CliRunner().invoke(app, [*RUN, str(cohort)]).exit_code == 0
    assert [p.stat().st_mtime_ns for p in files] == before


def test_the_dxa_is_that_of_simulate_dxa(cohort: Path, tmp_path: Path) -> None:
    path = write_person(tmp_path, 2, 0)
    assert path.read_bytes() == (cohort / "dxa" / path.name).read_bytes()
    alone, both = (read_truth(f / "truth" / "30000000_2.json") for f in (tmp_path, cohort))
    assert both.model_copy(update={"mri": None}).model_dump_json() == alone.model_dump_json()
    with pytest.raises(ConfigError, match="without an MRI"):
        assert alone.pair


def test_both_archives_are_of_one_person(cohort: Path) -> None:
    people = []
    for path in (cohort / "dxa" / "30000000_20158_2_0.zip", cohort / "mri" / "30000000_20201_2_0.zip"):
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dcm"))
            header = pydicom.dcmread(io.BytesIO(archive.read(name)), stop_before_pixels=True)
        people.append([header[f"Patient{k}"].value for k in ("ID", "Name", "BirthDate", "Sex", "Size")])
    assert people[0] == people[1]


def test_the_truth_lies_on_the_spine_that_the_reader_gives(cohort: Path) -> None:
    truth = read_truth(cohort / "truth" / "30000000_2.json").pair
    volume = read_dixon(cohort / "mri" / "30000000_20201_2_0.zip")
    centres = truth.vertebra_centres_mm
    index = np.rint((centres - volume.origin_mm) / 2.0).astype(int)
    x, y, z = index.T
    marrow = np.median(volume.fat[z, y, x])
    # Bodies hold fat; two and a half half-depths behind and the discs between them hold none.
    middle = np.rint(((centres[:-1] + centres[1:]) / 2 - volume.origin_mm) / 2.0).astype(int)
    discs = np.median([volume.fat[k - 1 : k + 2, j, i].min() for i, j, k in middle])
    assert discs < 0.6 * marrow
    assert truth.traps == ()
    assert abs(truth.to_dxa.rotation_deg) < 6
    assert 0.3 < truth.to_dxa.iou <= 1
    assert [s.number for s in truth.stations] == [1, 2, 3, 4, 5, 6]
