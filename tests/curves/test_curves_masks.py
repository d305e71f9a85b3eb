import numpy as np
import pytest

from spinelift.curves import coronal_from_edges, ends_of, mask_edges, smooth_rows
from spinelift.curves.masks import outer_crossings
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


def test_outer_crossings_are_linear_and_end_with_the_profile():
    assert outer_crossings(np.array([0.0, 0.2, 1.0, 0.1, 0.6, 0.4]), 0.5) == pytest.approx((1.375, 4.5))
    assert outer_crossings(np.array([1.0, 1.0]), 0.5) == pytest.approx((-0.5, 1.5))
    assert outer_crossings(np.array([0.0, 3.0, 0.0]), 2.0) == pytest.approx((2 / 3, 4 / 3))


def test_smooth_rows_keep_straight_lines_and_ignore_the_corners():
    z = np.linspace(100.0, 540.0, 180)
    line = np.stack([0.1 * z - 3, -0.02 * z])
    z_new = np.linspace(90.0, 550.0, 50)
    wanted = np.stack([0.1 * z_new - 3, -0.02 * z_new])
    np.testing.assert_allclose(smooth_rows(z, line, z_new), wanted, atol=1e-6)
    line[:, [0, 1, 2, -3, -2, -1]] += 25.0
    np.testing.assert_allclose(smooth_rows(z, line, z_new), wanted, atol=1e-6)
    with pytest.raises(ValueError, match="too short"):
        smooth_rows(z[:4], line[:, :4], z_new)
