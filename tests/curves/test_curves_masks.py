import numpy as np
import pytest

from spinelift.curves import coronal_from_edges, ends_of, largest_component, mask_edges
from spinelift.geometry import SPINE_ROWS, Spacing

SPACING = Spacing(2.4, 2.1)
SHAPE = (300, 120)
TOP, BOTTOM = 40.3, 251.8


def edges_at(row):
    """Right and left edge of a slanted, bent column in columns: asymmetric on purpose."""
    t = (row - TOP) / (BOTTOM - TOP)
    centre = 52 + 14 * t + 3 * np.sin(4 * t)
    return centre - 7 - 2 * t, centre + 6 + 3 * t


def antialiased(sub=16):
    """Share of each pixel inside the column."""
    rows = (np.arange(SHAPE[0] * sub) + 0.5) / sub - 0.5
    right, left = edges_at(rows)
    cols = np.arange(SHAPE[1])
    cover = np.minimum(left[:, None], cols + 0.5) - np.maximum(right[:, None], cols - 0.5)
    cover = np.clip(cover, 0, 1) * ((rows >= TOP) & (rows <= BOTTOM))[:, None]
    return cover.reshape(SHAPE[0], sub, -1).mean(1)


def test_edges_of_an_antialiased_mask_to_a_tenth_of_a_pixel():
    edges = mask_edges(antialiased(), SPACING)
    inner = slice(2, -2)
    right, left = edges_at(edges.z_mm[inner] / SPACING.row_mm)
    # A pixel that is covered by half has its centre on the edge; in between the crossing is linear.
    np.testing.assert_allclose(edges.right_mm[inner] / SPACING.col_mm, right, atol=0.1)
    np.testing.assert_allclose(edges.left_mm[inner] / SPACING.col_mm, left, atol=0.1)
    assert edges.z_mm[0] / SPACING.row_mm == pytest.approx(TOP, abs=0.1)
    assert edges.z_mm[-1] / SPACING.row_mm == pytest.approx(BOTTOM, abs=0.1)


def test_mirrored_and_flipped_masks_give_mirrored_edges():
    p = antialiased()
    plain, mirrored, flipped = (mask_edges(q, SPACING) for q in (p, p[:, ::-1], p[::-1]))
    width = (SHAPE[1] - 1) * SPACING.col_mm
    height = (SHAPE[0] - 1) * SPACING.row_mm
    np.testing.assert_allclose(mirrored.left_mm, width - plain.right_mm)
    np.testing.assert_allclose(mirrored.right_mm, width - plain.left_mm)
    np.testing.assert_allclose(flipped.z_mm, height - plain.z_mm[::-1])
    np.testing.assert_allclose(flipped.centre_mm, plain.centre_mm[::-1])


def test_curves_from_edges_lie_on_the_true_ones():
    edges = mask_edges(antialiased(), SPACING)
    z, curves = coronal_from_edges(edges)
    assert curves.shape == (3, SPINE_ROWS)
    right, left = edges_at(z / SPACING.row_mm)
    np.testing.assert_allclose(curves[2], right * SPACING.col_mm, atol=0.25)
    np.testing.assert_allclose(curves[0], left * SPACING.col_mm, atol=0.25)
    np.testing.assert_allclose(curves[1], (left + right) / 2 * SPACING.col_mm, atol=0.25)


def test_ends_lie_in_the_middle_of_the_first_and_last_rows():
    (xt, zt), (xb, zb) = ends_of(mask_edges(antialiased(), SPACING))
    assert zt < zb
    assert xt == pytest.approx(np.mean(edges_at(TOP)) * SPACING.col_mm, abs=1.5)
    assert xb == pytest.approx(np.mean(edges_at(BOTTOM)) * SPACING.col_mm, abs=1.5)


def test_nearly_empty_masks():
    assert mask_edges(np.zeros((9, 9)), SPACING) is None
    one = np.zeros((9, 9))
    one[4, 3:6] = 1
    assert mask_edges(one, SPACING) is None
    short = np.zeros((9, 9))
    short[3:6, 3:6] = 1
    with pytest.raises(ValueError, match="too short"):
        coronal_from_edges(mask_edges(short, SPACING))


def test_a_mask_at_the_image_border_keeps_its_edge():
    full = mask_edges(np.ones((20, 6)), Spacing(1, 1))
    np.testing.assert_allclose(full.right_mm, -0.5)
    np.testing.assert_allclose(full.left_mm, 5.5)
    np.testing.assert_allclose(full.z_mm[[0, -1]], [-0.5, 19.5])


def test_largest_component_is_filled_and_alone():
    mask = np.zeros((20, 20), bool)
    mask[2:12, 2:10] = True
    mask[5, 5] = False
    mask[12, 10] = True  # touches by its corner
    mask[15:18, 15:18] = True
    out = largest_component(mask)
    assert out.sum() == 81
    assert out[5, 5]
    assert not out[16, 16]
    assert not largest_component(np.zeros((4, 4), bool)).any()
