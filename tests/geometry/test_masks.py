import numpy as np
import pytest

from spinelift.geometry import intersection_over_union, largest_component


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_largest_piece_in_any_dimension(dimensions):
    mask = np.zeros((12,) * dimensions, bool)
    mask[(slice(1, 3),) * dimensions] = mask[(slice(5, 9),) * dimensions] = True
    largest = largest_component(mask)
    assert largest.sum() == 4**dimensions
    assert largest[(5,) * dimensions]
    assert not largest[(1,) * dimensions]


def test_corners_connect_only_if_asked_for():
    mask = np.zeros((8, 8), bool)
    mask[1:4, 1:4] = mask[4:6, 4:6] = True
    assert largest_component(mask).sum() == 9
    assert largest_component(mask, diagonal=True).sum() == 13


def test_weights_decide_and_no_piece_is_no_piece():
    mask = np.array([1, 1, 1, 0, 1], bool)
    weights = np.array([0, 0, 1, 9, 2])
    np.testing.assert_array_equal(largest_component(mask, weights=weights), [0, 0, 0, 0, 1])
    assert not largest_component(np.zeros((3, 4), bool)).any()
    assert largest_component(np.zeros((3, 4), bool), diagonal=True).shape == (3, 4)


def test_intersection_over_union():
    a, b = np.zeros((2, 6), bool), np.zeros((2, 6), bool)
    assert intersection_over_union(a, b) == 1.0
    a[:, :4] = b[:, 2:] = True
    assert intersection_over_union(a, b) == pytest.approx(4 / 12)
    assert intersection_over_union(a, a) == 1.0
    assert intersection_over_union(a, ~a) == 0.0
