"""What masks of any dimension have in common: their largest piece, and how far two agree."""

import numpy as np
from scipy import ndimage

from spinelift.geometry.arrays import AnyArray, Bool


def largest_component(mask: AnyArray, *, diagonal: bool = False, weights: AnyArray | None = None) -> Bool:
    """The largest connected piece of a mask [...], of the first of them if several are equal.

    Parameters
    ----------
    diagonal
        Whether pieces that touch at corners or edges alone are connected.
    weights
        What each element counts [...]; None counts all the same.
    """
    labels, count = ndimage.label(mask != 0, np.ones((3,) * mask.ndim) if diagonal else None)
    if count == 0:
        return np.zeros(mask.shape, bool)
    sizes = np.bincount(labels.ravel(), None if weights is None else weights.ravel())
    return np.asarray(labels == 1 + sizes[1:].argmax())


def intersection_over_union(a: Bool, b: Bool) -> float:
    """Overlap of two masks of one shape, 0 to 1; 1 if both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0
