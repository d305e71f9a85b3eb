"""Pairs of a cohort folder: archives read once, failures listed, the aligner trained on the command line."""

import numpy as np
import pytest
import yaml
from align_cases import body_pair, truth_of
from io_cases import visit_zip
from typer.testing import CliRunner

from spinelift.errors import NoScansError, OutputError
from spinelift.io.dixon.volume import DixonVolume
from spinelift.io.visits import paired_visits
from spinelift.learn.aligner import pairs as cohort_images
from spinelift.learn.aligner.pairs import FAILED, load_cohort_pairs

pytest.importorskip("torch")

EIDS = (1234567, 1234568, 1234569)


def lopsided_volume():
    water = np.zeros((60, 6, 40), np.float32)
    water[5:55] = 10.0
    water[20, 2, 30] += 60.0
    return DixonVolume("1234567_2", water, water / 2, (-39.0, -5.0, -500.0), (5, 55))


@pytest.fixture
def cohort(tmp_path):
    folder = tmp_path / "people"
    for name in ("dxa", "mri"):
        (folder / name).mkdir(parents=True)
    for eid in EIDS:
        visit_zip(folder / "dxa", eid=eid)
        (folder / "mri" / f"{eid}_20201_2_0.zip").write_bytes(b"")
    (folder / "mri" / "1234569_20201_2_0.zip").rename(folder / "mri" / "1234569_20201_3_0.zip")
    return folder


def test_only_visits_with_both_archives_are_pairs(cohort, tmp_path):
    assert [v.key for v in paired_visits(cohort)] == ["1234567_2", "1234568_2"]
    for archive in (cohort / "mri").iterdir():
        archive.unlink()
    with pytest.raises(NoScansError, match="both archives"):
        paired_visits(cohort)
    with pytest.raises(NoScansError, match="no folder"):
        paired_visits(tmp_path / "nowhere")


def test_archives_are_read_once_and_failures_told(cohort, tmp_path, monkeypatch):
    good, reads = cohort / "mri" / "1234567_20201_2_0.zip", []

    def read(path):
        reads.append(path.name)
        return lopsided_volume() if path == good else real(path)

    real = cohort_images.read_dixon
    monkeypatch.setattr(cohort_images, "read_dixon", read)
    (first,) = load_cohort_pairs(cohort, tmp_path / "cache")
    failed = (tmp_path / "cache" / FAILED).read_text()
    assert failed.startswith("1234568_2: ")
    assert failed.count("\n") == 1
    (again,) = load_cohort_pairs(cohort, tmp_path / "cache")
    assert reads.count(good.name) == 1
    for key in ("dxa", "mri"):
        one, other = getattr(first, key), getattr(again, key)
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.valid, other.valid)
        assert one.grid == other.grid
    assert again.mri.pixels[0, 15, 30] == pytest.approx(20.0)
    (tmp_path / "cache" / "1234567_2.npz").write_bytes(b"half a file")
    load_cohort_pairs(cohort, tmp_path / "cache")
    assert reads.count(good.name) == 2


def test_a_cache_that_cannot_be_written_ends_the_reading(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(cohort_images, "read_dixon", lambda path: lopsided_volume())
    (tmp_path / "cache" / "1234567_2.npz").mkdir(parents=True)
    with pytest.raises(OutputError, match="1234567_2"):
        load_cohort_pairs(cohort, tmp_path / "cache")


def test_the_aligner_trains_from_the_command_line(cohort, tmp_path, monkeypatch):
    from spinelift.cli.train import app

    pairs = {eid: body_pair(truth_of(1.0, 4.0 * k, -3.0 * k)) for k, eid in enumerate(EIDS)}
    monkeypatch.setattr(
        cohort_images,
        "_read",
        lambda visit: cohort_images.CohortPair(visit.key, *pairs[int(visit.key.split("_")[0])]),
    )
    config = tmp_path / "tiny.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "encoder": {"channels": [4, 4, 8], "features": 4},
                "canvas": {"pixel_mm": 8.0, "dxa": [112, 56], "mri": [72, 48]},
                "optim": {"rate": 0.003},
                "loop": {"batch": 2, "steps": 3, "validate_every": 100, "validate_limit": 2, "threads": 1},
            }
        )
    )
    arguments = [
        "aligner",
        "--cohort",
        cohort,
        "--val",
        cohort,
        "--config",
        config,
        "--out",
        tmp_path / "run",
    ]
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    assert "3 steps" in done.output
    assert {"card.json", "dxa.onnx", "mri.onnx"} <= {p.name for p in (tmp_path / "run").iterdir()}
