import csv

import numpy as np
import pytest
import trimesh
from benchmarks.yardsticks import YardstickCase, save_cases
from benchmarks.yardsticks.donors import (
    BODIES,
    DONORS,
    donor_bones,
    donor_cases,
    pose_donor,
)
from benchmarks.yardsticks.run import TITLES, Plan, run_yardsticks
from benchmarks.yardsticks.sagittal import Parts, sagittal_rows
from scipy.spatial.transform import Rotation

from spinelift.errors import ConfigError
from spinelift.geometry import SPINE_ROWS, Vertebra
from spinelift.simulate.body.bones import signed_volume
from spinelift.simulate.body.donors import DonorStyle, fit_vertebra
from spinelift.simulate.body.library import DonorLibrary
from spinelift.simulate.body.physique import Physique
from spinelift.simulate.body.prior import N_LEVELS, ShapePrior
from spinelift.simulate.body.spine import FORWARD_DEG, frames_along
from spinelift.simulate.donors.folder import load_folder

WIDTH, DEPTH, HEIGHT = 40.0, 30.0, 24.0


def synthetic(turn: Rotation, at: np.ndarray) -> trimesh.Trimesh:
    """A closed vertebra in LPS: a block of a body, pedicles, a lamina, a spinous process below the middle."""
    blocks = [
        ((WIDTH, DEPTH, HEIGHT), (0, 0, 0)),
        ((7, 16, 10), (-13, 22, 4)),
        ((7, 16, 10), (13, 22, 4)),
        ((34, 5, 14), (0, 32, 0)),
        ((5, 26, 10), (0, 46, -6)),
        ((24, 6, 5), (26, 30, 2)),
        ((24, 6, 5), (-26, 30, 2)),
    ]
    parts = [trimesh.creation.box(e, trimesh.transformations.translation_matrix(m)) for e, m in blocks]
    mesh = trimesh.util.concatenate(parts)
    for _ in range(2):
        mesh = mesh.subdivide()
    mesh.vertices = turn.apply(mesh.vertices) + at
    return mesh


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two people, T4 and L2 of one and T12 of the other, each in another pose."""
    path = tmp_path_factory.mktemp("donors")
    fields = ["file", "person", "level", *(f"body_centre_{a}_mm" for a in ("left", "post", "up"))]
    with (path / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, fields)
        table.writeheader()
        for k, (person, level) in enumerate([("a", "T4"), ("a", "L2"), ("b", "T12")]):
            at = np.array([5.0 * k, -100.0, 300.0 - 200 * k])
            turn = Rotation.from_euler("xyz", [10.0 * k, 3.0, 4.0], degrees=True)
            synthetic(turn, at).export(path / f"{person}{level}.stl")
            values = [f"{person}{level}.stl", person, level, *(at + np.array([1.0, -2.0, 1.5]))]
            table.writerow(dict(zip(fields, values, strict=True)))
    return path


PAIRS = [("a", Vertebra.T4), ("a", Vertebra.L2), ("b", Vertebra.T12)]
DONOR = {Vertebra.T4: "a", Vertebra.L2: "a", Vertebra.T12: "b"}


def test_frame_and_size_of_a_donor_are_those_of_its_endplates(folder):
    for k, donor in enumerate(load_folder(folder, wanted=PAIRS)):
        rotation = Rotation.from_euler("xyz", [10.0 * k, 3.0, 4.0], degrees=True).as_matrix()
        axes = np.diag([1, 1, -1]) @ rotation @ np.diag([1, 1, -1])  # z to the feet
        angles = np.degrees(np.arccos(np.clip((donor.frame * axes).sum(0), -1, 1)))
        assert angles[2] < 0.5
        assert angles[:2].max() < 2.5
        assert donor.centre == pytest.approx([5.0 * k, -100, 200 * k - 300], abs=0.5)
        assert donor.size * [0.91, 0.91, 1] == pytest.approx([WIDTH, DEPTH, HEIGHT], abs=0.6)
        assert donor.mesh.vertices[:, 1].max() > 50  # the spinous process points to the back
        assert signed_volume(donor.mesh.vertices, donor.mesh.faces) > 0
        assert np.linalg.det(donor.frame) == pytest.approx(1)


@pytest.fixture(scope="module")
def library(folder):
    return DonorLibrary(tuple(load_folder(folder)))


def test_a_level_without_a_vertebra_takes_the_nearest(library):
    bones = donor_bones(library, DONOR)
    assert [bones[v].level.name for v in (0, 7, 8, 11, 12, 16)] == ["T4", "T4", "T12", "T12", "T12", "L2"]


def test_the_body_takes_its_size_and_the_arch_the_persons(folder):
    (donor,) = load_folder(folder, wanted=[("a", Vertebra.T4)])
    size = donor.size * [1.3, 0.8, 1.1]
    points = fit_vertebra(donor, size, DonorStyle(0.9))
    own = donor.mesh.vertices
    front, tip = own[:, 1] < 0, own[:, 1] > 50
    assert np.ptp(points[front], axis=0)[[0, 2]] == pytest.approx([WIDTH * 1.3, HEIGHT * 1.1], rel=0.03)
    assert np.ptp(points[tip], axis=0) == pytest.approx(np.ptp(own[tip], axis=0) * 0.9, rel=0.01)
    assert points[tip, 1].max() == pytest.approx(
        size[1] / 2 + (own[tip, 1].max() - donor.size[1] / 2) * 0.9, abs=0.2
    )


def test_endplates_stand_forward_of_the_centre_line_in_the_loin():
    prior = ShapePrior.load()
    centres = prior.centres(prior.mean)
    physique = Physique(True, 60.0, 1650.0, 25.0, 0.0)
    straight = frames_along(centres, np.zeros(N_LEVELS))
    down = np.mean(
        [pose_donor(centres, physique, np.random.default_rng(k)).frames[:, :, 2] for k in range(60)], axis=0
    )
    angle = np.degrees(
        np.arctan2((down * straight[:, :, 1]).sum(1), (down * straight[:, :, 2]).sum(1))
    )  # an axis whose lower end lies behind has its upper end in front
    assert angle == pytest.approx(FORWARD_DEG, abs=0.8)
    assert FORWARD_DEG[Vertebra.L3] == 3.3


def test_every_donor_names_a_person_for_each_level():
    assert all(set(donor) == set(Vertebra) for donor in DONORS.values())


def write_table(path, spines: int) -> None:
    prior, rng = ShapePrior.load(), np.random.default_rng(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["spine_id", "source", "level", "x_mm", "y_mm", "z_mm"])
        for k in range(spines):
            for v, (x, y, z) in zip(Vertebra, prior.centres(prior.sample(rng, spread=0.5)), strict=True):
                table.writerow([f"s{k}", "made", v.name, x, y, -z])


def test_donors_who_are_not_there_are_left_out(library, tmp_path):
    write_table(tmp_path / "c.csv", 1)
    some = {"d": DONOR, "e": {Vertebra.T1: "nobody"}}
    cases = donor_cases(library, tmp_path / "c.csv", donors=some)
    assert {c.name.split("/")[1] for c in cases} == {"d"}
    with pytest.raises(ConfigError, match="nobody"):
        donor_cases(library, tmp_path / "c.csv", donors={"e": some["e"]})


def test_bodies_of_a_person_differ_and_the_truth_does_not(library, tmp_path):
    write_table(tmp_path / "c.csv", 2)
    cases = donor_cases(library, tmp_path / "c.csv", donors={"d": DONOR})
    assert [c.name for c in cases[:3]] == [f"{body}:s0/d" for body in BODIES]
    assert len(cases) == 6
    for other in cases[1:3]:
        assert np.array_equal(other.curves, cases[0].curves)
        assert not np.array_equal(other.image, cases[0].image)
    rows = np.arange(20, 200)
    centre = np.round(cases[0].curves[1, rows]).astype(int)
    assert cases[0].image[rows + 7, centre].mean() > cases[0].image[rows + 7, centre + 28].mean() + 20


def test_meshes_that_are_not_there_or_not_closed_are_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"index\.csv"):
        load_folder(tmp_path, wanted=PAIRS)
    (tmp_path / "index.csv").write_text((folder / "index.csv").read_text())
    mesh = synthetic(Rotation.identity(), np.zeros(3))
    mesh.update_faces(np.arange(len(mesh.faces)) > 2)
    mesh.export(tmp_path / "aT4.stl")
    with pytest.raises(ConfigError, match="not closed"):
        load_folder(tmp_path, wanted=PAIRS[:1])


def test_parts_of_a_line_and_of_a_wave():
    z = np.arange(SPINE_ROWS) - (SPINE_ROWS - 1) / 2
    wave = np.cos(4 * np.pi * np.arange(SPINE_ROWS) / (SPINE_ROWS - 1))
    parts = Parts.of(np.stack([0.1 * z + 7, wave]))
    assert parts.inclination == pytest.approx([0.1, 0], abs=1e-3)
    assert np.abs(parts.shape[0]).max() < 1e-9


@pytest.mark.parametrize(("offset", "kept"), [(0.0, 0.5), (0.03, 0.25)])
def test_gain_undoes_what_a_prediction_shrinks(offset, kept):
    rng = np.random.default_rng(1)
    z = np.arange(SPINE_ROWS) - (SPINE_ROWS - 1) / 2
    wave = np.sin(3 * np.pi * np.arange(SPINE_ROWS) / (SPINE_ROWS - 1))
    true = rng.normal(0, 0.05, (60, 1)) * z + rng.normal(0, 4, (60, 1)) * wave
    mean, curves = np.zeros((6, SPINE_ROWS)), np.zeros((60, 6, SPINE_ROWS))
    line = Parts.of(true).inclination[:, None] * z
    curves[:, 4] = kept * line + 0.8 * (true - line) + offset * z
    cases = [
        YardstickCase(
            f"{k // 2}/{k}", np.zeros((224, 224), np.uint8), np.tile(t, (6, 1)).astype(np.float32), 2.0,
            np.ones(SPINE_ROWS, bool), np.ones(6, bool),
        )
        for k, t in enumerate(true)
    ]  # fmt: skip
    rows = {r.name: r for r in sagittal_rows(cases, curves, mean)}
    assert rows["sagittal_inclination_gain_centred"].model.value == pytest.approx(1 / kept, rel=1e-3)
    assert rows["sagittal_shape_gain"].model.value == pytest.approx(1.25, rel=1e-3)
    assert rows["sagittal_inclination_pearson_r"].model.value == pytest.approx(1, abs=1e-4)
    inclination = rows["sagittal_inclination_without_common_mae_mm"]
    assert inclination.model.value == pytest.approx(
        (1 - kept) * np.abs(line - line.mean(0)).mean() * 2, rel=0.05
    )
    if not offset:
        assert inclination.ratios["mean curve"].value == pytest.approx(1 - kept, rel=0.01)
        assert rows["sagittal_inclination_gain"].model.value == pytest.approx(1 / kept, rel=1e-3)
    assert rows["sagittal_inclination_common_deg"].people == 30


def test_the_report_has_a_table_for_each_body(library, tmp_path):
    write_table(tmp_path / "c.csv", 1)
    cases = donor_cases(library, tmp_path / "c.csv", donors={"d": DONOR})
    save_cases(tmp_path / "cases" / "donors.npz", cases)
    plan = Plan(out=tmp_path, yardsticks=(5,))
    report = run_yardsticks(plan, lambda i: (np.zeros((len(i), 6, SPINE_ROWS)),) * 2, None)
    assert list(report.figures) == [f"{TITLES[5]}, the body about {about}" for about in BODIES.values()]
    assert all(rows[0].people == 1 for rows in report.figures.values())
