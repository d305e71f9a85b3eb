"""The one resampling of images: linear, antialiased, with one rule for borders."""

import numpy as np
from scipy import ndimage

from spinelift.geometry.arrays import AnyArray, Float, Float32
from spinelift.geometry.grid import PixelGrid
from spinelift.geometry.transform import RigidTransform2D

PIXEL_SD = 0.5
"""Standard deviation of a pixel's point spread, taken as Gaussian, in pixels. The antialiasing filter is the
difference of the target's point spread and the source's (Cardoso et al., MICCAI 2015): for a target pixel of
``scale`` source pixels, ``PIXEL_SD * sqrt(scale² - 1)`` pixels of the source."""
LEAST_BLUR_PX = 0.3
"""A narrower filter, in pixels of the source, is left out."""
EDGE_PX = 0.5 + 1e-6
"""How far from a border pixel's centre the image ends: half a pixel, with room for rounding."""


def resample(
    image: AnyArray,
    source: PixelGrid,
    target: PixelGrid,
    transform: RigidTransform2D | None = None,
    *,
    extend: bool = False,
) -> Float32:
    """Image [H, W] on ``source`` → float32 [h, w] on ``target``.

    Parameters
    ----------
    transform
        From the source's to the target's millimetres; None if they are the same.
    extend
        Continue the border's values outside the image instead of 0.

    Notes
    -----
    Border: filter and interpolation continue the outermost pixels' values, and what lies beyond these pixels'
    outer edges is 0. What was measured keeps its brightness up to the edge, whatever the two pixel sizes; a
    filter that takes the outside for 0 darkens the rim of a scan that is finer than its target.
    """
    data = np.asarray(image, np.float32)
    if data.shape != source.shape:
        raise ValueError(f"the image is {data.shape}, its grid {source.shape}")
    back = transform.inverse() if transform else RigidTransform2D.identity("target", "source")
    matrix, offset = back.to_pixels(target, source)
    sigma = PIXEL_SD * np.sqrt(np.maximum((matrix**2).sum(1) - 1.0, 0.0))
    if sigma.max() > LEAST_BLUR_PX:
        data = ndimage.gaussian_filter(data, sigma, mode="nearest")
    if matrix[0, 1] == 0 == matrix[1, 0]:
        out = _along_axes(data, matrix.diagonal(), offset, target.shape)
    else:
        out = ndimage.affine_transform(data, matrix, offset, target.shape, order=1, mode="nearest")
    if not extend:
        rows, cols = np.arange(target.shape[0])[:, None], np.arange(target.shape[1])[None]
        for size, (down, across), first in zip(source.shape, matrix, offset, strict=True):
            index = first + (down * rows if down else 0.0) + (across * cols if across else 0.0)
            inside = (index >= -EDGE_PX) & (index <= size - 1 + EDGE_PX)
            out = np.where(inside, out, np.float32(0))
    return out


def _along_axes(data: Float32, step: Float, offset: Float, shape: tuple[int, int]) -> Float32:
    """Linear interpolation [h, w] at step · index + offset along each axis: several times as fast."""
    out = data.astype(np.float64)
    for axis, size in enumerate(data.shape):
        at = np.clip(step[axis] * np.arange(shape[axis]) + offset[axis], 0, size - 1)
        low = at.astype(np.intp)
        share = at - low if axis else (at - low)[:, None]
        first, last = out.take(low, axis), out.take(np.minimum(low + 1, size - 1), axis)
        out = first + (last - first) * share
    return out.astype(np.float32)
