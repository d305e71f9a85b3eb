import numpy as np
import pytest
import trimesh

from spinelift.simulate.body.bones import make_mesh, outward, signed_volume, template
from spinelift.simulate.body.solids import Solid, Tissue, ellipsoid, loft, loft_mesh, shell


def polygon(segments):
    """Area of a regular polygon over that of its circle."""
    return segments / (2 * np.pi) * np.sin(2 * np.pi / segments)


def test_loft_of_one_ellipse_is_a_cylinder():
    z = np.linspace(10, 90, 7)
    centres = np.stack([5 * np.sin(z), -3 + 0 * z, z], 1)
    points, faces = loft(centres, np.tile([20.0, 8.0], (7, 1)), segments=40)
    assert trimesh.Trimesh(points, faces, process=False).is_watertight
    assert signed_volume(points, faces) == pytest.approx(np.pi * 20 * 8 * 80 * polygon(40))


def test_loft_of_shrinking_ellipses_is_a_cone():
    z = np.linspace(0, 60, 121)
    r = 30 * (1 - z / 60) + 1e-9
    points, faces = loft(np.stack([0 * z, 0 * z, z], 1), np.stack([r, r], 1), segments=200)
    assert signed_volume(points, faces) == pytest.approx(np.pi * 30**2 * 60 / 3, rel=1e-3)


def test_superellipse_grows_to_a_box():
    z = np.array([0.0, 10.0])
    half = np.tile([20.0, 10.0], (2, 1))
    ellipse, box = (
        signed_volume(*loft(np.stack([0 * z, 0 * z, z], 1), half, segments=400, exponent=p)) for p in (2, 40)
    )
    assert ellipse == pytest.approx(np.pi * 20 * 10 * 10, rel=1e-3)
    assert box == pytest.approx(4 * 20 * 10 * 10, rel=0.05)


def test_ellipsoid_is_closed_and_nearly_its_volume():
    points, faces = ellipsoid(np.array([3.0, 4, 5]), np.array([10.0, 6, 8]), rings=41, segments=80)
    assert trimesh.Trimesh(points, faces, process=False).is_watertight
    assert signed_volume(points, faces) == pytest.approx(4 / 3 * np.pi * 10 * 6 * 8, rel=0.02)
    np.testing.assert_allclose([points[:, 2].min(), points[:, 2].max()], [-3, 13])


def test_a_shell_weighs_its_parts():
    """Cortex outside, core inside: projected mass = cortex volume · ρ1 + core volume · ρ2."""
    z = np.linspace(0, 40, 9)
    mesh = loft_mesh(np.stack([0 * z, 0 * z, z], 1), np.tile([15.0, 15.0], (9, 1)), segments=60)
    table = np.zeros((len(Tissue), 3))
    table[Tissue.CORTEX], table[Tissue.LIMB_TRABECULAR], table[Tissue.MUSCLE] = 2.0, 0.5, 1.0
    outer, core = shell("x", mesh, 2.0, Tissue.LIMB_TRABECULAR)
    np.testing.assert_allclose(outer.mass(table), (2.0 - 1.0) / 10)
    np.testing.assert_allclose(core.mass(table), (0.5 - 2.0) / 10)
    ratio = signed_volume(core.points, core.faces) / signed_volume(outer.points, outer.faces)
    assert 0.6 < ratio < 0.82


def test_density_of_a_shell_holds_inside_and_out():
    mesh = loft_mesh(np.array([[0, 0, 0], [0, 0, 9.0]]), np.full((2, 2), 5.0))
    table = np.arange(len(Tissue))[:, None] * np.ones(3)
    parts = shell("x", mesh, 1.0, Tissue.RIB_TRABECULAR, density=1.5)
    total = sum(p.mass(table) for p in parts)
    np.testing.assert_allclose(total, (1.5 * Tissue.RIB_TRABECULAR - Tissue.MUSCLE) / 10)


def test_normals_point_out_and_outward_turns_a_mesh_right_side_out():
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=10)
    mesh = make_mesh(np.asarray(sphere.vertices), sphere.faces)
    np.testing.assert_allclose(mesh.normals, sphere.vertices / 10, atol=0.02)
    inside_out = make_mesh(mesh.vertices, mesh.faces[:, ::-1])
    assert signed_volume(inside_out.vertices, inside_out.faces) < 0
    turned = outward(inside_out)
    assert signed_volume(turned.vertices, turned.faces) > 0


def test_solid_of_air_takes_away():
    table = np.zeros((len(Tissue), 3))
    table[Tissue.MUSCLE] = 0, 1, 0
    gas = Solid("gas", np.zeros((3, 3)), np.zeros((1, 3), np.int32), Tissue.AIR, Tissue.MUSCLE)
    np.testing.assert_allclose(gas.mass(table), [0, -0.1, 0])


def test_the_template_is_an_adult_skeleton():
    bones = template()
    assert len(bones.vertebrae) == 17
    assert (np.diff(bones.centres[:, 2]) > 15).all()
    np.testing.assert_allclose(
        bones.frames @ bones.frames.transpose(0, 2, 1), np.tile(np.eye(3), (17, 1, 1)), atol=1e-9
    )
    assert {f"rib_{side}{n}" for side in "LR" for n in range(1, 13)} <= set(bones.parts)
    assert (
        bones.parts["rib_L6"].vertices[:, 0].mean() > 20 > -20 > bones.parts["rib_R6"].vertices[:, 0].mean()
    )
    sternum = bones.parts["sternum"].vertices[:, 1].mean()
    assert sternum < bones.centres[5, 1] - 50  # in front of the spine
    assert bones.parts["skull"].vertices[:, 2].mean() < bones.centres[0, 2]  # above it
    for vertebra in bones.vertebrae:
        assert signed_volume(vertebra.mesh.vertices, vertebra.mesh.faces) > 0
        behind = vertebra.mesh.vertices[:, 1].max()
        assert behind > -vertebra.mesh.vertices[:, 1].min()  # the spinous process points to the back
