from dataclasses import fields, replace

import numpy as np
import pytest

from spinelift.simulate.body import morphometry
from spinelift.simulate.body.bones import template
from spinelift.simulate.body.physique import Physique
from spinelift.simulate.body.vertebrae import VertebraStyle, morph, sample_styles
from spinelift.simulate.body.warp import Warp, sample_warps

UNITS = (
    "posterior_length",
    "posterior_width",
    "posterior_height",
    "spinous_length",
    "transverse_length",
    "transverse_thickness",
    "density",
)


def plain():
    """A style that changes nothing."""
    values = {f.name: 1.0 if f.name in UNITS else 0.0 for f in fields(VertebraStyle)}
    still = Warp(np.zeros((1, 3)), np.zeros(1), np.zeros((1, 3)))
    return VertebraStyle(**{**values, "waves": np.zeros((3, 3, 3)), "warp": still})


def table_size(level):
    return np.array(
        [morphometry.BODY_WIDTH[level], morphometry.BODY_DEPTH[level], morphometry.BODY_HEIGHT[level]]
    )


def morphed(level, size, scale=1.0, **style):
    bone = template().vertebrae[level]
    local = bone.mesh.vertices
    return local, morph(local, bone.size, level, size, scale, scale, replace(plain(), **style))


@pytest.mark.parametrize("level", range(17))
@pytest.mark.parametrize("factor", [0.85, 1.0, 1.2])
def test_bodies_and_transverse_processes_have_the_tables_size(level, factor):
    size = table_size(level) * factor
    local, out = morphed(level, size, scale=factor)
    front = out[local[:, 1] < 0]
    core = (np.abs(out[:, 0]) < 0.3 * size[0]) & (np.abs(out[:, 1]) < 0.4 * size[1])
    assert np.ptp(front[:, 0]) == pytest.approx(size[0], rel=0.08)
    assert size[1] / 2 - front[:, 1].min() == pytest.approx(size[1], rel=0.04)
    assert np.ptp(out[core, 2]) == pytest.approx(size[2], rel=0.12)
    behind = out[:, 1] > size[1] / 2 + 3
    span = morphometry.TRANSVERSE_SPAN[level] * factor
    assert np.ptp(out[behind, 0]) == pytest.approx(span, rel=0.06)


def test_spinous_process_has_its_length():
    for level in range(17):
        size = table_size(level)
        _, out = morphed(level, size)
        tip = out[np.argmax(out[:, 1] - 20 * np.abs(out[:, 0]))]
        length = np.hypot(tip[1] - size[1] / 2, tip[2] + size[2] / 2)
        assert length == pytest.approx(morphometry.SPINOUS_LENGTH[level], rel=0.15)


def test_a_wedge_lowers_the_front_and_hollow_endplates_the_middle():
    size = table_size(8)
    local, flat = morphed(8, size)
    _, wedged = morphed(8, size, wedge=0.15)
    _, hollow = morphed(8, size, concavity=0.2)
    middle = np.abs(flat[:, 0]) < 0.35 * size[0]
    front, back = (middle & (np.abs(flat[:, 1] - y * size[1]) < 2) for y in (-0.42, 0.3))
    assert np.ptp(wedged[front, 2]) < 0.93 * np.ptp(flat[front, 2])
    assert np.ptp(wedged[back, 2]) > 1.03 * np.ptp(flat[back, 2])
    centre = np.hypot(*flat[:, :2].T) < 6
    assert np.ptp(hollow[centre, 2]) < 0.88 * np.ptp(flat[centre, 2])
    assert len(local) == len(flat)


def test_styles_differ_between_people_and_repeat_with_the_seed():
    person = Physique(female=True, age=70, height_mm=1600, bmi=24, density_z=0)
    one, same, other = (sample_styles(person, np.random.default_rng(s)) for s in (1, 1, 2))
    assert len(one) == 17
    assert [s.density for s in one] == [s.density for s in same]
    assert [s.density for s in one] != [s.density for s in other]


def test_a_vertebra_is_symmetric_only_without_style():
    """Mirrored input gives mirrored output; a leaning spinous process breaks it."""
    bone = template().vertebrae[5]
    flip = np.array([-1.0, 1, 1])
    size = table_size(5)

    def shape(points, **style):
        return morph(points, bone.size, 5, size, 1.0, 1.0, replace(plain(), **style))

    points = bone.mesh.vertices
    np.testing.assert_allclose(shape(points * flip), shape(points) * flip, atol=1e-9)
    lean = shape(points * flip, spinous_lean=0.2) - shape(points, spinous_lean=0.2) * flip
    assert np.abs(lean).max() > 1


def test_a_warp_has_its_size_and_mirrors_left_and_right():
    points = np.random.default_rng(0).uniform([5, 15, -20], [30, 60, 20], (40, 3))
    mm = np.array([1.0, 2.0, 3.0])
    people = [sample_warps(17, mm, np.random.default_rng(k)) for k in range(150)]
    moved = np.array([[w.at(points) for w in warps[::8]] for warps in people])  # person, level, point, axis
    side = np.sqrt((np.tanh(points[:, 0] / 5) ** 2).mean())
    np.testing.assert_allclose(moved.std((0, 1, 2)), mm * [side, 1, 1], rtol=0.12)
    flip = np.array([-1.0, 1, 1])
    np.testing.assert_allclose(people[0][3].at(points * flip), people[0][3].at(points) * flip)
    common = moved.mean(1).std() / moved.std()
    assert 0.8 < common < 0.95  # most of it is the person's, not the level's


def test_the_arch_is_warped_and_the_body_is_not():
    up = Warp(np.zeros((1, 3)), np.zeros(1), np.array([[0.0, 0.0, 2.0]]))
    size = table_size(8)
    local, still = morphed(8, size)
    _, moved = morphed(8, size, warp=up)
    depth = template().vertebrae[8].size[1]
    rise = (moved - still)[:, 2]
    np.testing.assert_allclose(rise[local[:, 1] > depth], rise.max(), rtol=1e-2)
    np.testing.assert_allclose(rise[local[:, 1] < 0], 0, atol=1e-3)
    assert rise.max() > 0.5
