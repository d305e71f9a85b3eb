"""How a DXA scanner sees a body: two energies, photon noise, decomposition, and the tone of its pictures.

Mass attenuation coefficients were computed with xraylib 4.3 (coherent scattering included) for ICRU-44
cortical bone, muscle and adipose tissue at 39 and 71 keV, near the effective energies of a cerium-filtered
beam (Lunar); at 40 keV they agree with NIST's table 4 for cortical bone, 0.6655 cm²/g.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy import ndimage

from spinelift.geometry.arrays import Float, UInt8

LOW_KEV, HIGH_KEV = 39.0, 71.0
ATTENUATION_LOW: Float = np.array([0.7042, 0.2751, 0.2436])
"""μ/ρ of cortical bone, muscle and adipose tissue at 39 keV, cm²/g (ICRU-44)."""
ATTENUATION_HIGH: Float = np.array([0.2528, 0.1905, 0.1866])
"""The same at 71 keV."""
LEVELS = 127
"""Grey levels that occur in a picture of the scanner."""


@dataclass(frozen=True)
class Scanner:
    """Settings of one scan.

    Parameters
    ----------
    photons_low, photons_high
        Detected photons a pixel without a person in the beam.
    blur_px
        Standard deviation of the detector's point spread, in pixels.
    smooth_px
        Standard deviation of the filter that the maker applies after decomposition, in pixels.
    offset, lean_gain, fat_gain
        Brightness of the bone picture: ``offset + bone + lean_gain * lean + fat_gain * fat`` inside the body,
        masses in g/cm².
    gamma
        Exponent of the tone curve.
    shown
        Grey (0..1) at which the 95th percentile of the trunk's bones is shown; above 1 it is cut off.
    sharpen
        Strength of the maker's edge enhancement.
    line_gain, line_shift
        Standard deviation of the gain of a row, and of its sideways shift in pixels.
    texture
        Strength of the fine structure of soft parts, relative.
    mottle, pits
        Brightness of what motion, gas and folds leave in the bone picture: cloudy, and as dark specks.
    grain
        Strength of the fine structure of bone, relative.
    """

    photons_low: float
    photons_high: float
    blur_px: float
    smooth_px: float
    offset: float
    lean_gain: float
    fat_gain: float
    gamma: float
    shown: float
    sharpen: float
    line_gain: float
    line_shift: float
    texture: float
    mottle: float
    pits: float
    grain: float


def sample_scanner(rng: np.random.Generator) -> Scanner:
    """Random settings around those of a whole-body scan: entrance dose about 3 µGy a scan."""
    dose = float(np.exp(rng.normal(0, 0.4)))
    return Scanner(
        photons_low=3e5 * dose,
        photons_high=4.5e5 * dose,
        blur_px=rng.uniform(0.2, 0.6),
        smooth_px=rng.uniform(0.4, 0.95),
        offset=rng.uniform(0.25, 1.1),
        lean_gain=rng.uniform(0.0, 0.035),
        fat_gain=rng.uniform(-0.05, 0.02),
        gamma=rng.uniform(0.5, 1.05),
        # On the only real scan at hand it is 0.74, and nothing of the spine is cut off.
        shown=rng.uniform(0.95, 1.15) if rng.random() < 0.08 else rng.uniform(0.55, 0.92),
        sharpen=rng.uniform(0.0, 1.0),
        line_gain=rng.uniform(0.0, 0.012),
        line_shift=float(rng.choice([0.0, 0.0, 0.15])),
        texture=rng.uniform(0.2, 1.6),
        mottle=float(rng.choice([0.0, 1.0], p=[0.15, 0.85]) * rng.gamma(1.6, 0.032)),
        pits=float(rng.choice([0.0, 1.0], p=[0.4, 0.6]) * rng.gamma(1.5, 0.12)),
        grain=rng.uniform(0.0, 0.35),
    )


def sample_other_scanner(rng: np.random.Generator) -> Scanner:
    """Settings that training never sees: less dose, other tone and blur, more mottle. For calibration."""
    usual = sample_scanner(rng)
    return replace(
        usual,
        photons_low=usual.photons_low * 0.6,
        photons_high=usual.photons_high * 0.6,
        blur_px=usual.blur_px + rng.uniform(0.0, 0.35),
        offset=usual.offset * rng.uniform(0.5, 1.6),
        lean_gain=rng.uniform(-0.01, 0.05),
        fat_gain=rng.uniform(-0.07, 0.04),
        gamma=rng.uniform(0.4, 1.3),
        shown=rng.uniform(0.45, 1.1),
        mottle=usual.mottle * 1.5,
        pits=usual.pits * 1.5,
        line_gain=usual.line_gain * 2,
    )


def acquire(
    maps: Float, scanner: Scanner, rng: np.random.Generator, *, trunk: slice = slice(None)
) -> tuple[UInt8, UInt8]:
    """Maps of bone, lean and fat [3, H, W], g/cm² → the bone and the tissue picture, uint8 [H, W].

    ``trunk`` are the rows from whose bones the brightness is set.
    """
    maps = _textured(maps, scanner, rng)
    maps = ndimage.gaussian_filter(maps, (0, scanner.blur_px, scanner.blur_px), mode="constant")
    inside = ndimage.binary_fill_holes(maps.sum(0) > 0.6)
    thick = max(float(np.percentile(maps[1] + maps[2], 99.8)), 5.0)
    slower = np.exp(0.16 * (thick - 16.0))  # the scanner moves slowly over thick trunks
    log_low = _measure(np.tensordot(ATTENUATION_LOW, maps, 1), scanner.photons_low * slower, rng)
    log_high = _measure(np.tensordot(ATTENUATION_HIGH, maps, 1), scanner.photons_high * slower, rng)
    ratio = ATTENUATION_LOW[1] / ATTENUATION_HIGH[1]
    pure = ATTENUATION_LOW[0] - ratio * ATTENUATION_HIGH[0]
    bone = (log_low - ratio * log_high) / pure
    # Fat looks like negative bone by a known share, which the maker's baseline takes out.
    bone = bone - (ATTENUATION_LOW[2] - ratio * ATTENUATION_HIGH[2]) / pure * maps[2]
    tissue = (log_high - ATTENUATION_HIGH[0] * bone) / ATTENUATION_HIGH[1]
    bone, tissue = (ndimage.gaussian_filter(m, scanner.smooth_px) for m in (bone, tissue))
    value = scanner.offset + bone + scanner.lean_gain * maps[1] + scanner.fat_gain * maps[2]
    value += _mottle(value.shape, scanner, rng)
    value *= 1 + rng.normal(0, scanner.line_gain, (len(value), 1)) * inside
    value += scanner.sharpen * (value - ndimage.gaussian_filter(value, 1.5))
    bony = value[trunk][inside[trunk] & (maps[0, trunk] > 0.3)]
    bright = float(np.percentile(bony, 95)) if bony.size else 1.0
    white = bright / scanner.shown ** (1 / scanner.gamma)
    picture = _tone(value * inside, max(white, 0.1), scanner.gamma)
    if scanner.line_shift:
        cols = np.arange(picture.shape[1], dtype=np.float64)
        shift = rng.normal(0, scanner.line_shift, len(picture))
        picture = np.stack([np.interp(cols - d, cols, row) for d, row in zip(shift, picture, strict=True)])
    return _levels(picture), _levels(_tone(tissue * inside, thick, 0.8))


def enlarge(picture: UInt8, times: int) -> UInt8:
    """A picture with ``times`` as many rows and columns, linear in between, of the scanner's levels alone."""
    height, width = picture.shape
    larger = Image.fromarray(picture).resize((width * times, height * times), Image.Resampling.BILINEAR)
    return np.asarray(_levels(np.arange(256) / 255)[np.asarray(larger)])


def _measure(attenuation: Float, photons: float, rng: np.random.Generator) -> Float:
    """Logarithm of the attenuation as counted: variance of a Poisson count, exp(attenuation) / photons."""
    noise = np.exp(np.minimum(attenuation, 12.0) / 2) / np.sqrt(photons)
    return np.asarray(attenuation + noise * rng.standard_normal(attenuation.shape))


def _textured(maps: Float, scanner: Scanner, rng: np.random.Generator) -> Float:
    """Fine structure that the solids lack: lobules of soft parts, trabecular and cortical grain of bone."""
    shape = maps.shape[1:]
    out = maps.copy()
    field = sum(
        weight * sigma * 3.5 * ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
        for sigma, weight in zip((0.8, 1.6, 3.2), rng.uniform(0, 1, 3), strict=True)
    )
    coarse = ndimage.zoom(rng.standard_normal([n // 7 + 2 for n in shape]), 7, order=1)
    field = (field + rng.uniform(0, 1) * coarse[: shape[0], : shape[1]]) * scanner.texture
    exchange = np.clip(0.05 * field * np.minimum(maps[1] + maps[2], 20), -maps[1], maps[2])
    out[1] += exchange
    out[2] -= exchange
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), 0.7) * 2.4
    out[0] *= np.clip(1 + 0.35 * scanner.grain * grain, 0.2, 2.0)
    return out


def _mottle(shape: tuple[int, ...], scanner: Scanner, rng: np.random.Generator) -> Float:
    """What gas, folds and motion leave behind in the decomposed picture, in units of bone."""
    out = np.zeros(shape)
    for sigma in np.exp(rng.uniform(np.log(0.9), np.log(6.0), 2)):
        cloud = ndimage.gaussian_filter(rng.standard_normal(shape), sigma) * 3.5 * sigma
        out += scanner.mottle * cloud * rng.uniform(0.3, 1.0)
        if scanner.pits:
            where = ndimage.gaussian_filter(rng.standard_normal(shape), 12.0) * 42.0 + rng.uniform(-1, 0.5)
            out -= scanner.pits * np.clip(cloud - 1.0, 0, 2) * np.clip(where, 0, 1)
    return out


def _tone(value: Float, white: float, gamma: float) -> Float:
    return np.clip(value / white, 0, 1) ** gamma


def _levels(picture: Float) -> UInt8:
    """0 to 1 → 8 bits, of which only every second level occurs."""
    return np.round(np.round(np.clip(picture, 0, 1) * LEVELS) * (255 / LEVELS)).astype(np.uint8)
