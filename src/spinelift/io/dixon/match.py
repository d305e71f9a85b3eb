"""Comparison of two neighbouring stations where they overlap: gain, bias field and offset."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from spinelift.geometry.arrays import Float, Float32
from spinelift.io.dixon.compare import correlation, interpolate, overlap, signal_level, vertex
from spinelift.io.dixon.slab import Slab

STEP_MM = 4.0
"""Distance of the heights at which two stations are compared: about one slice."""
BODY_LEVEL = 0.15
"""Share of the 99th percentile above which a coarse pixel is body."""
LEAST_BODY_PX = 30
"""Fewest coarse pixels of body in the overlap, all heights together, from which a gain is measured."""
SMOOTH_PX = 4.0
"""Gaussian width of the bias map, coarse pixels: 32 mm, as coarse as receive coils are."""
MAX_LOG_BIAS = 0.7
"""Largest natural logarithm of a local ratio that counts as bias: a factor of two."""
LEAST_WEIGHT = 1e-3
"""Least smoothed count of body pixels by which the bias is divided: beyond the body it fades to 0."""
MAX_SHIFT_MM = 24.0
"""Largest offset that is searched for."""
LEAST_COMMON_MM = 12.0
"""Least overlap, by height, in which an offset along the body is searched for."""
BETTER = 0.6
"""An offset along the body is accepted if 1 − r there is at most this share of 1 − r without an offset."""
EDGE_PX = 1.5
"""Gaussian width at which edges are found, voxels."""

Offset = tuple[float, float, float]


@dataclass(frozen=True)
class Match:
    """Lower station against upper one.

    ``log_gain`` is the natural logarithm of lower over upper signal, median over the overlap; ``log_bias``,
    float32 [56, 56], the smooth local difference from it. ``front_mm`` and ``back_mm`` are (x, y, z) by which
    the front and the back half of the body lie further to the left, to posterior and to the feet in the lower
    station: breathing moves the front, the table both.
    """

    log_gain: float
    log_bias: Float32
    front_mm: Offset = (0.0, 0.0, 0.0)
    back_mm: Offset = (0.0, 0.0, 0.0)


def match(upper: Slab, lower: Slab) -> Match:
    """Compare two neighbours where they overlap (fat and water together, so swaps do not matter)."""
    zs = overlap(upper, lower, step=STEP_MM)
    shape = upper.coarse_fat.shape[1:]
    nothing = Match(0.0, np.zeros(shape, np.float32))
    if zs is None:
        return nothing
    one, other = (interpolate(zs, slab.z, slab.coarse) for slab in (upper, lower))
    body = (one > signal_level(one, BODY_LEVEL)) & (other > signal_level(other, BODY_LEVEL))
    if body.sum() < LEAST_BODY_PX:
        return nothing
    log_ratio = np.zeros(one.shape, np.float32)
    log_ratio[body] = np.log(other[body] / one[body])
    gain = float(np.median(log_ratio[body]))
    rest = np.clip(np.where(body, log_ratio - gain, 0), -MAX_LOG_BIAS, MAX_LOG_BIAS).sum(axis=0)
    weight = ndimage.gaussian_filter(body.sum(axis=0).astype(np.float32), SMOOTH_PX, mode="constant")
    bias = ndimage.gaussian_filter(rest, SMOOTH_PX, mode="constant") / np.maximum(weight, LEAST_WEIGHT)
    if len(zs) * STEP_MM < LEAST_COMMON_MM:
        return Match(gain, bias.astype(np.float32))
    middle = round(float(ndimage.center_of_mass(body)[1]))
    front, back = (_offset(upper, lower, zs, rows) for rows in (slice(0, middle), slice(middle, None)))
    return Match(gain, bias.astype(np.float32), front, back)


def _offset(upper: Slab, lower: Slab, zs: Float, rows: slice) -> Offset:
    """Offset of the coarse ``rows`` of the body, mm: first along the body, then in plane."""
    z = _along(upper, lower, rows)
    heights = zs[(zs + z >= lower.z[0]) & (zs + z <= lower.z[-1])]
    if not len(heights):
        return 0.0, 0.0, z
    coarse = upper.grid.coarse
    fine = slice(rows.start * coarse, rows.stop and rows.stop * coarse)
    images = []
    for slab, shift in ((upper, 0.0), (lower, z)):
        fat, water = (interpolate(heights + shift, slab.z, v[:, fine]) for v in (slab.fat, slab.water))
        inside = upper.inside[fine] & lower.inside[fine]
        images.append(((fat + water) * inside).mean(axis=0))
    return (*_in_plane(images[0], images[1], upper.grid.voxel_mm), z)


def _in_plane(one: Float32, other: Float32, voxel_mm: float) -> tuple[float, float]:
    """(x, y) shift, mm, from the peak of the edges' cross-correlation, refined by parabolas."""
    size = tuple(2 * n for n in one.shape)
    edges = [ndimage.gaussian_gradient_magnitude(image, EDGE_PX, mode="nearest") for image in (one, other)]
    spectra = [np.fft.rfft2(image - image.mean(), s=size) for image in edges]
    response = np.fft.fftshift(np.fft.irfft2(np.conj(spectra[0]) * spectra[1], s=size))
    reach = int(MAX_SHIFT_MM / voxel_mm)
    cy, cx = (n // 2 for n in response.shape)
    near = response[cy - reach : cy + reach + 1, cx - reach : cx + reach + 1]
    y, x = (int(v) for v in np.unravel_index(int(near.argmax()), near.shape))
    dx, dy = x - reach + vertex(near[y], x), y - reach + vertex(near[:, x], y)
    return dx * voxel_mm, dy * voxel_mm


def _along(upper: Slab, lower: Slab, rows: slice) -> float:
    """z shift, mm: where the lower station's slices resemble the upper's most, refined by a parabola.

    0 unless the slices are much more alike there than without a shift: along limbs all are alike.
    """
    step = upper.grid.voxel_mm
    zs = np.arange(float(lower.z[0]), float(upper.z[-1]) + 1e-6, step)
    one, coarse = _detail(interpolate(zs, upper.z, upper.coarse[:, rows])), _detail(lower.coarse[:, rows])
    lags = np.arange(-MAX_SHIFT_MM, MAX_SHIFT_MM + 0.1, step)
    fits = np.full(len(lags), -1.0)
    for k, lag in enumerate(lags):
        inside = (zs + lag >= lower.z[0]) & (zs + lag <= lower.z[-1])
        if inside.sum() * step >= LEAST_COMMON_MM:
            fits[k] = correlation(one[inside], interpolate(zs[inside] + lag, lower.z, coarse))
    best = int(fits.argmax())
    if 1 - fits[best] > BETTER * (1 - fits[len(lags) // 2]):
        return 0.0
    return float(lags[best] + step * vertex(fits, best))


def _detail(volume: Float32) -> Float32:
    """What is finer than the bias, relative to the slice's mean."""
    rough = volume - ndimage.gaussian_filter(volume, (0, SMOOTH_PX, SMOOTH_PX))
    detail: Float32 = rough / np.maximum(volume.mean(axis=(1, 2), keepdims=True), 1e-6)
    return detail
