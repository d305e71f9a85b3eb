import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from spinelift.geometry import PixelGrid, Spacing
from spinelift.simulate.dxa.project import add_mesh

VIEW = PixelGrid((-59.1, -79.3), Spacing(2.1, 2.0), (80, 60))
ONE = np.array([1.0])


def project(mesh, *, view=VIEW, samples=2, mass=ONE):
    image = np.zeros((len(mass), *view.shape))
    add_mesh(image, np.asarray(mesh.vertices), mesh.faces.astype(np.int32), mass, view, samples=samples)
    return image


def at(view):
    """u and z of every pixel's centre."""
    return np.broadcast_arrays(view.x_mm[None], view.z_mm[:, None])


def box(size, centre):
    mesh = trimesh.creation.box(size)
    mesh.apply_translation(centre)
    return mesh


def test_a_box_integrates_to_its_thickness_inside_and_to_nothing_outside():
    image = project(box((40, 17.5, 50), (3.3137, 250, -7.7219)))[0]
    u, z = at(VIEW)
    inside = (np.abs(u - 3.3137) < 19) & (np.abs(z + 7.7219) < 24)
    outside = (np.abs(u - 3.3137) > 21) | (np.abs(z + 7.7219) > 26)
    np.testing.assert_allclose(image[inside], 17.5, atol=1e-9)
    assert np.abs(image[outside]).max() < 1e-9
    assert image.sum() * 2.0 * 2.1 == pytest.approx(40 * 17.5 * 50, rel=0.02)


def test_a_sphere_gives_its_chord():
    r = 25.0
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=r)
    sphere.apply_translation((4.0, -90, 6.0))
    image = project(sphere, samples=1)[0]
    u, z = at(VIEW)
    d2 = (u - 4) ** 2 + (z - 6) ** 2
    core = d2 < (0.95 * r) ** 2
    np.testing.assert_allclose(image[core], 2 * np.sqrt(r**2 - d2[core]), rtol=0.01)
    assert np.abs(image[d2 > (1.02 * r) ** 2]).max() < 1e-9


def test_nested_shells_add_up():
    """Outer box of density 1, inner box displaced by density 3: 1 · (T − t) + 3 · t."""
    outer, inner = box((60, 40, 60), (0.3137, 0, 0.4219)), box((20, 12, 22), (0.3137, 5, 0.4219))
    image = project(outer, mass=ONE) + project(inner, mass=np.array([3.0 - 1.0]))
    u, z = at(VIEW)
    core = (np.abs(u - 0.3137) < 9) & (np.abs(z - 0.4219) < 10)
    rim = (np.abs(u - 0.3137) > 12) & (np.abs(u - 0.3137) < 28) & (np.abs(z - 0.4219) < 28)
    np.testing.assert_allclose(image[0][core], 1 * (40 - 12) + 3 * 12, atol=1e-9)
    np.testing.assert_allclose(image[0][rim], 40, atol=1e-9)


def test_channels_get_their_own_mass():
    image = project(box((30, 10, 30), (0.3137, 0, 0.4219)), mass=np.array([1.0, 0.25, -2.0]))
    np.testing.assert_allclose(image[1], 0.25 * image[0])
    np.testing.assert_allclose(image[2], -2 * image[0])


@pytest.mark.parametrize("seed", range(4))
def test_volume_is_kept_under_rotation(seed):
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=1.0)
    mesh.apply_transform(np.diag([33, 12, 20, 1.0]))
    mesh.vertices += 3 * np.sin(mesh.vertices[:, [1, 2, 0]] / 5)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    volume = mesh.volume
    mesh.apply_transform(matrix)
    image = project(mesh, samples=3)[0]
    assert image.sum() * 2.0 * 2.1 == pytest.approx(volume, rel=0.01)
    assert image.min() > -1e-9


def test_faces_that_point_inward_count_negative():
    mesh = box((30, 10, 30), (0.3137, 0, 0.4219))
    outward = project(mesh)
    mesh.invert()
    np.testing.assert_allclose(project(mesh), -outward, atol=1e-12)
    assert outward.max() > 0


def test_a_mesh_beside_the_view_leaves_no_trace_a_cut_one_its_part():
    for centre in ((500, 0, 0), (-500, 0, 0), (0, 0, 500), (0, 0, -500)):
        assert np.abs(project(box((30, 10, 30), centre))).max() == 0
    cut = project(box((400, 10, 30), (0, 0, 0.4219)))[0]
    _, z = at(VIEW)
    np.testing.assert_allclose(cut[np.abs(z - 0.4219) < 14], 10, atol=1e-9)


def test_nothing_is_mirrored():
    """A small cube at the upper left of a view lands at small rows and, patient's left, large columns."""
    image = project(box((10, 10, 10), (40, 0, -60)))[0]
    rows, cols = np.nonzero(image)
    assert rows.max() < 20
    assert cols.min() > 40


def test_the_depth_of_a_solid_does_not_matter():
    near, far = box((30, 10, 30), (0.3137, -1000, 0.4219)), box((30, 10, 30), (0.3137, 1000, 0.4219))
    np.testing.assert_allclose(project(near), project(far), atol=1e-9)
