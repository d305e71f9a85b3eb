"""What two neighbouring stations say about each other where they overlap: gain, bias and offset."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.io.dixon.overlap import Overlap, interpolate, overlap
from spinelift.io.dixon.slab import COARSE, Slab
from spinelift.io.dixon.volume import GRID_MM

SMOOTH_PX = 4.0
"""Gaussian width of the bias map, coarse pixels: 32 mm, as coarse as receive coils are."""
MAX_LOG_BIAS = 0.7
MAX_SHIFT_MM = 24.0
"""Largest offset that is looked for."""
_LEAST_COMMON_MM = 12.0
_BETTER = 0.6

Offset = tuple[float, float, float]


@dataclass(frozen=True)
class Match:
    """Lower station against upper one.

    Parameters
    ----------
    log_gain
        Natural logarithm of lower over upper signal, median over the overlap.
    log_bias
        float32 [56, 56]: what differs from it from place to place, smooth.
    front_mm, back_mm
        (x, y, z) by which the front and the back half of the body lie further to the left, to posterior
        and to the feet in the lower station. Breathing moves the front, the table both.
    """

    log_gain: float
    log_bias: NDArray[np.float32]
    front_mm: Offset = (0.0, 0.0, 0.0)
    back_mm: Offset = (0.0, 0.0, 0.0)


def match(upper: Slab, lower: Slab) -> Match:
    """Compare two neighbours where they overlap (fat and water together, so swaps do not matter)."""
    zs = overlap(upper, lower, step=4.0)
    shape = upper.coarse_fat.shape[1:]
    nothing = Match(0.0, np.zeros(shape, np.float32))
    if zs is None:
        return nothing
    one, other = zs.of(upper.z, upper.coarse), zs.of(lower.z, lower.coarse)
    body = (one > 0.15 * np.percentile(one, 99)) & (other > 0.15 * np.percentile(other, 99))
    if body.sum() < 30:
        return nothing
    log_ratio = np.zeros(one.shape, np.float32)
    log_ratio[body] = np.log(other[body] / one[body])
    gain = float(np.median(log_ratio[body]))
    rest = np.clip(np.where(body, log_ratio - gain, 0), -MAX_LOG_BIAS, MAX_LOG_BIAS).sum(axis=0)
    weight = ndimage.gaussian_filter(body.sum(axis=0).astype(np.float32), SMOOTH_PX, mode="constant")
    bias = ndimage.gaussian_filter(rest, SMOOTH_PX, mode="constant") / np.maximum(weight, 1e-3)
    if len(zs.z) * 4 < _LEAST_COMMON_MM:
        return Match(gain, bias.astype(np.float32))
    middle = round(float(ndimage.center_of_mass(body)[1]))
    front, back = (_offset(upper, lower, zs, rows) for rows in (slice(0, middle), slice(middle, None)))
    return Match(gain, bias.astype(np.float32), front, back)


def _offset(upper: Slab, lower: Slab, zs: Overlap, rows: slice) -> Offset:
    """Offset of the coarse ``rows`` of the body, mm: first along the body, then in plane."""
    z = _along(upper, lower, rows)
    heights = zs.z[(zs.z + z >= lower.z[0]) & (zs.z + z <= lower.z[-1])]
    if not len(heights):
        return 0.0, 0.0, z
    fine = slice(rows.start * COARSE, rows.stop and rows.stop * COARSE)
    images = []
    for slab, shift in ((upper, 0.0), (lower, z)):
        at = Overlap(heights + shift)
        total = at.of(slab.z, slab.fat[:, fine]) + at.of(slab.z, slab.water[:, fine])
        seen = upper.seen[fine] & lower.seen[fine]
        images.append((total * seen).mean(axis=0))
    return (*_in_plane(*images), z)


def _in_plane(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """(x, y) shift, mm, from the peak of the edges' cross-correlation, refined by parabolas."""
    size = tuple(2 * n for n in one.shape)
    spectra = []
    for image in (one, other):
        edges = ndimage.gaussian_gradient_magnitude(image, 1.5, mode="nearest")
        spectra.append(np.fft.rfft2(edges - edges.mean(), s=size))
    response = np.fft.fftshift(np.fft.irfft2(np.conj(spectra[0]) * spectra[1], s=size))
    reach = int(MAX_SHIFT_MM / GRID_MM)
    cy, cx = (n // 2 for n in response.shape)
    near = response[cy - reach : cy + reach + 1, cx - reach : cx + reach + 1]
    y, x = (int(v) for v in np.unravel_index(int(near.argmax()), near.shape))
    dy = y - reach + _vertex(near[:, x], y)
    dx = x - reach + _vertex(near[y], x)
    return dx * GRID_MM, dy * GRID_MM


def _along(upper: Slab, lower: Slab, rows: slice) -> float:
    """z shift, mm: where the lower station's slices resemble the upper's most, refined by a parabola.

    0 unless the slices are much more alike there than without a shift: along limbs all are alike.
    """
    zs = np.arange(float(lower.z[0]), float(upper.z[-1]) + 1e-6, GRID_MM)
    one, coarse = _detail(interpolate(zs, upper.z, upper.coarse[:, rows])), _detail(lower.coarse[:, rows])
    lags = np.arange(-MAX_SHIFT_MM, MAX_SHIFT_MM + 0.1, GRID_MM)
    fits = np.full(len(lags), -1.0)
    for k, lag in enumerate(lags):
        inside = (zs + lag >= lower.z[0]) & (zs + lag <= lower.z[-1])
        if inside.sum() * GRID_MM >= _LEAST_COMMON_MM:
            fits[k] = _likeness(one[inside], interpolate(zs[inside] + lag, lower.z, coarse))
    best = int(fits.argmax())
    if 1 - fits[best] > _BETTER * (1 - fits[len(lags) // 2]):
        return 0.0
    return float(lags[best] + GRID_MM * _vertex(fits, best))


def _detail(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is finer than the bias, relative to the slice's mean."""
    rough = volume - ndimage.gaussian_filter(volume, (0, SMOOTH_PX, SMOOTH_PX))
    detail: NDArray[np.float32] = rough / np.maximum(volume.mean(axis=(1, 2), keepdims=True), 1e-6)
    return detail


def _likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum()) / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-6)


def _vertex(values: NDArray[np.floating], peak: int) -> float:
    """Offset of a parabola's top through a peak and its neighbours, −0.5…0.5."""
    if not 0 < peak < len(values) - 1:
        return 0.0
    a, b, c = (float(v) for v in values[peak - 1 : peak + 2])
    curve = a - 2 * b + c
    return float(np.clip(0.5 * (a - c) / curve, -0.5, 0.5)) if curve < 0 else 0.0
