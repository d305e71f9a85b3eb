"""Donors: frames, libraries on disk, who is drawn, and what donors do to a picture."""

import contextlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from spinelift.cli import app
from spinelift.errors import ConfigError, DamagedFileError
from spinelift.geometry import PixelGrid, Vertebra
from spinelift.learn.people import donors_of_training
from spinelift.simulate.body.body import sample_body
from spinelift.simulate.body.bones import make_mesh, outward, signed_volume
from spinelift.simulate.body.donors import (
    DonorStyle,
    DonorVertebra,
    fit_vertebra,
    mirrored,
)
from spinelift.simulate.body.library import BLEND, DonorLibrary, blend
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.spine import LORDOSIS_DEG, LORDOSIS_SD_DEG, sample_spine
from spinelift.simulate.donors.check import check_vertebra
from spinelift.simulate.donors.choice import ALL_SHIPPED, Donors
from spinelift.simulate.donors.frame import donor_vertebra
from spinelift.simulate.donors.library import SHIPPED, load_library, save_library
from spinelift.simulate.donors.register import register
from spinelift.simulate.donors.surface import decimated, is_closed, surface_of
from spinelift.simulate.dxa.project import add_mesh
from spinelift.simulate.stores import make_pair
from spinelift.store.rows import PairStore

OPEN = {"MIT", "BSD-3-Clause", "Apache-2.0"}


def block_vertebra(person="a", level=Vertebra.L2, turn_deg=0.0) -> DonorVertebra:
    """A body of 42 × 34 × 26 mm with an arch whose left transverse process is longer, z to the feet."""
    blocks = [
        ((42, 34, 26), (0, 0, 0)),
        ((7, 16, 10), (-13, 24, -4)),
        ((7, 16, 10), (13, 24, -4)),
        ((34, 5, 14), (0, 33, 0)),
        ((5, 30, 12), (0, 50, 6)),
        ((40, 6, 5), (34, 31, -2)),
        ((24, 6, 5), (-26, 31, -2)),
    ]
    parts = [trimesh.creation.box(e, trimesh.transformations.translation_matrix(m)) for e, m in blocks]
    mesh = trimesh.util.concatenate(parts).subdivide()
    angle = np.radians(turn_deg)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return donor_vertebra(person, level, outward(make_mesh(mesh.vertices @ turn.T, mesh.faces)), np.zeros(3))


@pytest.fixture(scope="module")
def library() -> DonorLibrary:
    bone = block_vertebra()
    return DonorLibrary(
        tuple(replace(bone, person=p, level=k) for p, k in [("a", Vertebra.L2), ("b", Vertebra.T5)])
    )


@pytest.mark.parametrize("turn", [-12.0, 0.0, 8.0])
def test_a_frame_is_that_of_the_endplates_though_the_arch_is_not_symmetric(turn):
    bone = block_vertebra(turn_deg=turn)
    down = np.degrees(np.arctan2(bone.frame[1, 2], bone.frame[2, 2]))
    assert down == pytest.approx(-turn, abs=0.5)
    assert bone.size * [0.91, 0.91, 1] == pytest.approx([42, 34, 26], abs=0.6)
    assert bone.mesh.vertices[:, 0].max() > -bone.mesh.vertices[:, 0].min() + 10  # left is left


def test_a_library_comes_back_from_disk(library, tmp_path):
    path = tmp_path / "own.npz"
    save_library(path, DonorLibrary((replace(library.vertebrae[0], licence="MIT", arch_mineral=1.4),)))
    (bone,) = load_library([path]).vertebrae
    assert (bone.person, bone.level, bone.licence, bone.arch_mineral) == (
        "a",
        Vertebra.L2,
        "MIT",
        pytest.approx(1.4),
    )
    np.testing.assert_allclose(bone.mesh.vertices, library.vertebrae[0].mesh.vertices, atol=1e-4)
    np.testing.assert_array_equal(bone.mesh.faces, library.vertebrae[0].mesh.faces)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DamagedFileError, match=r"own\.npz.*Make it again"):
        load_library([path])


@given(data=st.data())
def test_a_damaged_library_is_refused(data, tmp_path_factory):
    """Any byte changed or missing: refused as damaged, or read as what it was."""
    raw = bytearray(SHIPPED.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw[at] ^= data.draw(st.integers(1, 255))
    else:
        del raw[at:]
    path = tmp_path_factory.mktemp("damaged") / "x.npz"
    path.write_bytes(raw)
    with contextlib.suppress(DamagedFileError):
        assert load_library([path]).people == load_library([SHIPPED]).people


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": np.array(9)}, "format"),
        ({"faces": np.zeros((1, 3), np.uint16)}, "faces"),
        ({"size": np.full((2, 3), np.nan, np.float32)}, "size"),
        ({"vertices": None}, "vertices"),
    ],
)
def test_a_library_whose_arrays_do_not_fit_is_refused(library, tmp_path, change, word):
    save_library(tmp_path / "a.npz", library)
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file) | change
    np.savez(tmp_path / "b.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(DamagedFileError, match=word):
        load_library([tmp_path / "b.npz"])
    with pytest.raises(ConfigError, match=r"c\.npz"):
        load_library([tmp_path / "c.npz"])


def test_the_shipped_library_is_open_small_and_whole():
    bones = load_library([SHIPPED]).vertebrae
    assert {bone.licence for bone in bones} <= OPEN
    assert {bone.level for bone in bones} == set(Vertebra)
    assert SHIPPED.stat().st_size < 1_500_000
    notice = SHIPPED.with_name("NOTICE.md").read_text(encoding="utf-8")
    for bone in bones:
        check_vertebra(bone)
        assert len(bone.mesh.faces) <= 1001
        assert bone.person in notice


def test_people_left_out_are_not_drawn():
    everyone = ALL_SHIPPED.load()
    fewer = Donors(without=("slicer_ctacardio",)).load()
    assert set(everyone.people) - set(fewer.people) == {"slicer_ctacardio"}
    assert all(v is None for v in fewer.draw(np.random.default_rng(0))[: Vertebra.T12])
    assert Donors(shipped=False).load().draw(np.random.default_rng(0)) == [None] * 17
    with pytest.raises(ConfigError, match=r"nobody.*--without-donor"):
        Donors(without=("nobody",)).load()


def test_donors_stay_near_their_level_and_some_people_have_none():
    library = ALL_SHIPPED.load()
    drawn = [library.draw(np.random.default_rng(k)) for k in range(300)]
    for shapes in drawn:
        for level, bone in enumerate(shapes):
            if bone is not None:
                assert abs(bone.level - level) <= 2
                assert (bone.level <= Vertebra.T12) == (level <= Vertebra.T12)
    alone = np.mean([all(bone is None for bone in shapes) for shapes in drawn])
    assert 0.08 < alone < 0.24
    changes = [a.person != b.person for s in drawn for a, b in pairwise(s[:11]) if a and b]
    assert np.mean(changes) < 0.05
    again = library.draw(np.random.default_rng(7))
    assert [b and b.person for b in again] == [b and b.person for b in drawn[7]]


def silhouette(mesh) -> np.ndarray:
    image = np.zeros((1, 120, 181))
    add_mesh(image, mesh.vertices, mesh.faces, np.ones(1), PixelGrid.square((0.3, 0.2), 1.0, (120, 181)))
    return image[0]


def test_a_mirrored_donor_mirrors_the_picture():
    mesh = block_vertebra().mesh
    own, other = silhouette(mesh), silhouette(mirrored(mesh))
    assert own.sum() > 1000
    grid = PixelGrid.square((0.0, 0.0), 1.0, (120, 181))
    assert grid.shape == (120, 181)
    assert np.abs(own - other).max() > 3
    assert signed_volume(mirrored(mesh).vertices, mirrored(mesh).faces) == pytest.approx(
        signed_volume(mesh.vertices, mesh.faces)
    )
    view = PixelGrid.square((0.0, 0.0), 1.0, (120, 181))
    centred = [np.zeros((1, *view.shape)) for _ in range(2)]
    for image, one in zip(centred, (mesh, mirrored(mesh)), strict=True):
        add_mesh(image, one.vertices, one.faces, np.ones(1), view)
    np.testing.assert_allclose(centred[0], centred[1][:, :, ::-1], atol=1e-6)


def test_the_body_follows_its_size_and_the_arch_its_style():
    bone = block_vertebra()
    size = bone.size * [1.2, 0.9, 1.1]
    plain = fit_vertebra(bone, size, DonorStyle(1.0))
    high = fit_vertebra(bone, size, DonorStyle(1.0, arch_shift=-3.0))
    front, tip = bone.mesh.vertices[:, 1] < 0, bone.mesh.vertices[:, 1] > 45
    assert np.ptp(plain[front], axis=0)[[0, 2]] == pytest.approx([42 * 1.2, 26 * 1.1], rel=0.02)
    np.testing.assert_allclose((high - plain)[tip], [[0, 0, -3]] * tip.sum(), atol=1e-2)
    np.testing.assert_allclose((high - plain)[front], 0, atol=1e-3)
    flat = fit_vertebra(bone, size, DonorStyle(1.0, spinous_height=0.7))
    assert np.ptp(flat[tip, 2]) < 0.8 * np.ptp(plain[tip, 2])


def test_a_person_depends_on_seed_number_and_library():
    one, same, other = (make_pair(4, 1, donors=d)[0] for d in (ALL_SHIPPED, Donors(), Donors(shipped=False)))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_every_vertebra_of_a_person_is_closed_and_has_two_shells(prior):
    body = sample_body(prior, np.random.default_rng(2), whole=False, donors=ALL_SHIPPED.load())
    bones = [s for s in body.solids if s.name.startswith("vertebra_")]
    assert len(bones) == 34
    assert all(is_closed(bone.faces) for bone in bones)
    outer = np.array([signed_volume(s.points, s.faces) for s in bones[::2]])
    inner = np.array([signed_volume(s.points, s.faces) for s in bones[1::2]])
    assert (inner > 0.4 * outer).all()
    assert (inner < outer).all()


def test_fewer_triangles_keep_volume_and_closedness():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=20)
    vertices, faces = decimated(ball.vertices, ball.faces, 200)
    assert len(faces) <= 200
    assert is_closed(faces)
    assert signed_volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.03)
    assert not is_closed(faces[1:])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5)])
def test_the_surface_of_a_mask_is_closed_and_has_its_volume(spacing):
    shape = [int(40 / s) for s in spacing]
    places = np.moveaxis(np.indices(shape), 0, -1) * spacing
    mask = (((places - [18, 20, 21]) / [12, 9, 14]) ** 2).sum(-1) < 1
    vertices, faces = surface_of(mask, np.array(spacing))
    mm = outward(make_mesh(vertices * spacing, faces))
    assert is_closed(faces)
    assert signed_volume(mm.vertices, mm.faces) == pytest.approx(mask.sum() * np.prod(spacing), rel=0.04)
    ends = np.argwhere(mask).min(0) + np.argwhere(mask).max(0)
    np.testing.assert_allclose((mm.vertices.min(0) + mm.vertices.max(0)), ends * spacing, atol=0.8)


@pytest.mark.parametrize(
    ("scale", "reason"),
    [((0.5, 1, 1), "width"), ((1, 1, 0.6), "height"), ((1.1, 1.1, 0.72), "crushed")],
)
def test_a_vertebra_of_no_use_is_refused_with_a_reason(scale, reason):
    bone = block_vertebra(turn_deg=9)
    check_vertebra(bone)
    with pytest.raises(ValueError, match=reason):
        check_vertebra(replace(bone, size=bone.size * scale))


def test_a_vertebra_without_its_arch_is_refused():
    bone = block_vertebra(turn_deg=9)
    points = bone.mesh.vertices.copy()
    points[:, 1] = np.minimum(points[:, 1], bone.size[1] / 2 + 5)
    with pytest.raises(ValueError, match="arch"):
        check_vertebra(replace(bone, mesh=make_mesh(points, bone.mesh.faces)))


def test_a_store_and_the_record_of_a_training_name_the_donors(tmp_path):
    out = tmp_path / "train.zarr"
    words = ["simulate", "training", "--people", "1", "--out", str(out), "--without-donor", "tptbox_L3"]
    assert CliRunner().invoke(app, words).exit_code == 0
    store = PairStore.open(out)
    assert store.about["donors"] == [p for p in ALL_SHIPPED.load().people if p != "tptbox_L3"]
    (tmp_path / "run.json").write_text('{"donors": ["earlier"]}')
    names = donors_of_training([store], str(tmp_path / "weights.safetensors"))
    assert names == ["clouthier_mean_of_87", "earlier", *store.about["donors"][1:]]
    refused = CliRunner().invoke(app, [*words, "--no-donors"])
    assert refused.exit_code == ConfigError.exit_code


def test_a_registered_vertebra_keeps_its_shape_and_its_sides():
    """The mesh of T8 is bent onto a T7 that is made asymmetric; vertices keep their sides, front and back."""
    bones = {b.level: b for b in ALL_SHIPPED.load().vertebrae if b.person == "slicer_ctacardio"}
    start, other = bones[Vertebra.T8], bones[Vertebra.T7]
    true = other.mesh.vertices.copy()
    true[:, 0] *= np.where(true[:, 0] > 10, 1.25, 1.0)
    finer = trimesh.Trimesh(true, other.mesh.faces, process=False).subdivide()
    target = replace(other, mesh=make_mesh(finer.vertices, finer.faces), topology="", fit_mm=np.nan)
    made, fit = register(target, [start], 1000)
    assert fit is not None
    assert fit.good
    assert made.topology == start.topology
    assert np.linalg.norm(made.mesh.vertices - true, axis=1).mean() < 1.5
    far = np.abs(start.mesh.vertices) > 8
    same = np.sign(made.mesh.vertices) == np.sign(start.mesh.vertices)
    assert same[far[:, 0], 0].all()
    assert same[far[:, 1], 1].all()
    apart, none = register(replace(target, level=Vertebra.L1), [start], 600)
    assert (apart.topology, none) == ("", None)
    assert len(apart.mesh.faces) <= 600


def test_a_blend_is_the_mean_of_its_donors_and_follows_the_spine():
    library = ALL_SHIPPED.load()
    bones = [b for b in library.vertebrae if b.level == Vertebra.L3]
    mixed = blend(Vertebra.L3, bones[:2], np.array([3.0, 1.0]))
    mean = 0.75 * bones[0].mesh.vertices + 0.25 * bones[1].mesh.vertices
    np.testing.assert_allclose(mixed.mesh.vertices, mean)
    assert is_closed(mixed.mesh.faces)
    assert signed_volume(mixed.mesh.vertices, mixed.mesh.faces) > 0
    drawn = [replace(library, blend_share=1.0).draw(np.random.default_rng(k)) for k in range(20)]
    levels = [(k, b) for shapes in drawn for k, b in enumerate(shapes) if b is not None]
    assert all(b.level == k and b.topology for k, b in levels)
    assert any(b.person == BLEND for _, b in levels)
    alone = replace(library, blend_share=0.0).draw(np.random.default_rng(3))
    assert all(b is None or b in library.vertebrae for b in alone)


def test_one_cortex_a_topology_comes_back_from_disk(tmp_path):
    bones = ALL_SHIPPED.load().vertebrae
    save_library(tmp_path / "a.npz", DonorLibrary(bones))
    for old, new in zip(bones, load_library([tmp_path / "a.npz"]).vertebrae, strict=True):
        assert (old.topology, old.person) == (new.topology, new.person)
        np.testing.assert_array_equal(old.mesh.faces, new.mesh.faces)
        assert (old.cortex is None) == (new.cortex is None)
        if old.cortex is not None:
            np.testing.assert_array_equal(old.cortex, new.cortex)
            assert 0.05 <= old.cortex.min() <= old.cortex.max() < 6


def test_the_mean_lordosis_of_simulated_people_is_the_constant(prior):
    found = [
        sample_spine(prior, sample_physique(rng), rng).lordosis_deg
        for rng in map(np.random.default_rng, range(60))
    ]
    assert np.mean(found) == pytest.approx(LORDOSIS_DEG, abs=3 * LORDOSIS_SD_DEG / np.sqrt(60))
    assert np.std(found) == pytest.approx(LORDOSIS_SD_DEG, rel=0.3)
