"""`spinelift simulate cohort`: archives of one person, their truth, and starting again."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spinelift.cli import app
from spinelift.io.dixon.read import read_dixon
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
        "dxa/1000000_20158_2_0.zip",
        "mri/1000000_20201_2_0.zip",
        "truth/1000000_2.json",
    ]


def test_a_complete_person_is_not_made_again(cohort: Path) -> None:
    files = [p for p in cohort.rglob("*") if p.is_file()]
    before = [p.stat().st_mtime_ns for p in files]
    assert CliRunner().invoke(app, [*RUN, str(cohort)]).exit_code == 0
    assert [p.stat().st_mtime_ns for p in files] == before


def test_the_dxa_is_that_of_simulate_dxa(cohort: Path, tmp_path: Path) -> None:
    path = write_person(tmp_path, 2, 0)
    assert path.read_bytes() == (cohort / "dxa" / path.name).read_bytes()
    alone = json.loads((tmp_path / "truth" / "1000000_2.json").read_text())
    both = json.loads((cohort / "truth" / "1000000_2.json").read_text())
    assert {k: both[k] for k in alone} == alone


def test_the_truth_lies_on_the_spine_that_the_reader_gives(cohort: Path) -> None:
    truth = json.loads((cohort / "truth" / "1000000_2.json").read_text())
    volume = read_dixon(cohort / "mri" / "1000000_20201_2_0.zip")
    centres = np.array(list(truth["mri"]["vertebra_centres_mm"].values()))
    index = np.rint((centres - volume.origin_mm) / 2.0).astype(int)
    x, y, z = index.T
    marrow = np.median(volume.fat[z, y, x])
    # Bodies hold fat; two and a half half-depths behind and the discs between them hold none.
    middle = np.rint(((centres[:-1] + centres[1:]) / 2 - volume.origin_mm) / 2.0).astype(int)
    discs = np.median([volume.fat[k - 1 : k + 2, j, i].min() for i, j, k in middle])
    assert discs < 0.6 * marrow
    assert truth["traps"] == []
    rigid = truth["mri_to_dxa"]
    assert abs(rigid["rotation_deg"]) < 6
    assert 0.3 < truth["iou_with_truth"] <= 1
    assert {s["station"] for s in truth["stations"]} == {1, 2, 3, 4, 5, 6}
