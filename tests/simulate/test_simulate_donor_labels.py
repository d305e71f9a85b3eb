"""Donors of segmented CTs: numbering, what is left out, the mineral of the arch."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spinelift.cli import app
from spinelift.errors import ConfigError
from spinelift.geometry import Vertebra
from spinelift.io.nifti.labels import TABLES, LabelScheme
from spinelift.io.nifti.volume import write_nifti
from spinelift.simulate.donors.labels import donors_of_labels, recognised
from spinelift.simulate.donors.library import load_library

VERSE = Path(__file__).parents[3] / "shared/data/anatomy/verse004/sub-verse004_seg-vert_msk.nii.gz"
VOXEL = 1.5
COS, SIN = np.cos(np.radians(8)), np.sin(np.radians(8))
"""Of the angle by which the vertebrae are turned in the side view."""
BLOCKS = [
    ((44, 34, 27), (0, 0, 0)),
    ((7, 20, 12), (-14, 24, -3)),
    ((7, 20, 12), (14, 24, -3)),
    ((36, 6, 18), (0, 34, 0)),
    ((6, 32, 20), (0, 50, 6)),
    ((30, 7, 7), (30, 32, -2)),
    ((30, 7, 7), (-30, 32, -2)),
]
"""Sizes and middles of the parts of a vertebra, mm (left, posterior, feet)."""


def label_map(numbers: list[int]) -> np.ndarray:
    """Vertebrae one above the other [z, y, x]; the last is cut by the end of the scan."""
    shape = (round((36 * len(numbers) - 10) / VOXEL), 72, 72)
    z, y, x = (n * VOXEL for n in np.indices(shape))
    out = np.zeros(shape, np.uint8)
    for k, number in enumerate(numbers):
        for size, at in BLOCKS:
            back, down = y - 28, z - 22 - 36 * k
            own = COS * back + SIN * down, COS * down - SIN * back
            places = (x - 54 - at[0], own[0] - at[1], own[1] - at[2])
            out[np.all([np.abs(p) <= s / 2 for p, s in zip(places, size, strict=True)], axis=0)] = number
    return out


def affine() -> np.ndarray:
    """Index (x, y, z) → LPS mm; z of the array runs to the feet."""
    return np.diag([VOXEL, VOXEL, -VOXEL, 1.0])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """L1, L2 and a cut L3 as TotalSegmentator numbers them, and a CT whose arches are denser."""
    folder = tmp_path_factory.mktemp("labels")
    labels = label_map([31, 30, 29])
    write_nifti(folder / "seg.nii.gz", labels, affine())
    behind = np.indices(labels.shape)[1] * VOXEL > 28 + 17
    hu = np.where(labels > 0, np.where(behind, 820, 430), 40).astype(np.int16)
    write_nifti(folder / "ct.nii.gz", hu, affine())
    return folder


def test_a_segmented_ct_becomes_a_library(files):
    out = files / "own.npz"
    words = ["simulate", "donors", "add", str(files / "seg.nii.gz"), str(files / "ct.nii.gz")]
    words += ["--person", "a", "--out", str(out), "--licence", "own", "--triangles", "600"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "a L3: it is cut by the end of the scan" in done.output
    bones = load_library([out]).vertebrae
    assert [b.level for b in bones] == [Vertebra.L1, Vertebra.L2]
    for bone in bones:
        assert bone.size * [0.91, 0.91, 1] == pytest.approx([44, 34, 27], abs=1.6)
        assert bone.frame[1:, 2] == pytest.approx([-SIN, COS], abs=0.03)
        assert bone.arch_mineral == pytest.approx((820 - 40) / (430 - 40), rel=0.1)
        assert bone.licence == "own"
        assert bone.topology
        assert bone.fit_mm < 0.5
    listed = CliRunner().invoke(app, ["simulate", "donors", "list", str(out)])
    assert "L1 L2" in listed.output


def voxels(numbers: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """A label map as the reader gives it: [x, y, z], and its affine to project mm."""
    return label_map(numbers).transpose(2, 1, 0), np.diag([VOXEL, VOXEL, VOXEL, 1.0])


@pytest.mark.parametrize(
    ("numbers", "scheme"),
    [([31, 30, 29], LabelScheme.TOTALSEGMENTATOR_TOTAL), ([20, 21, 22], LabelScheme.VERSE)],
)
def test_a_scheme_is_recognised(numbers, scheme):
    assert recognised(*voxels(numbers)) == TABLES[scheme].vertebrae


def test_a_map_without_vertebrae_is_refused():
    with pytest.raises(ConfigError, match="--label-scheme"):
        recognised(np.zeros((4, 4, 4), np.int16), np.eye(4))


@pytest.mark.skipif(not VERSE.is_file(), reason="needs the label map of VerSe 004")
def test_verse_004_gives_its_whole_vertebrae():
    reasons = {}
    bones = donors_of_labels(VERSE, "v", refuse=reasons.__setitem__)
    assert [b.level.name for b in bones] == ["T9", "T10", "T11", "T12", "L2", "L3", "L4", "L5"]
    assert "height" in reasons["v L1"]
    assert bones[-3].size == pytest.approx([45.5, 34.8, 26.1], abs=0.8)  # L3 of the smoothed mesh
