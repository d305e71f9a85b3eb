"""Stage 1: rotation and shift at which the maps of DXA and MRI answer each other most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from spinelift.align.gradients import FeatureMap, Features
from spinelift.align.plane import DXA, MRI, PlaneImage, lay, square_grid
from spinelift.geometry import PixelGrid, RigidTransform2D, Spacing

ANGLES_DEG = tuple(np.linspace(-2.0, 2.0, 10).tolist())
"""Ten rotations (paper, section 2)."""
REACH_MM = (120.0, 200.0)
"""How far (x, z) the middle of an MRI from neck to knee may lie from where it is when the middles of both
images meet: bodies lie within 60 mm of each other on the tables, and legs change the heights of scans."""
LEAST_ENERGY = 0.05
"""Share of the largest local energy of the DXA's map below which there is too little to compare with."""


@dataclass(frozen=True)
class ImageMatch:
    """Result of stage 1.

    Parameters
    ----------
    transform
        From MRI to DXA.
    score
        Largest response.
    scores
        Largest response at each angle.
    """

    transform: RigidTransform2D
    score: float
    scores: tuple[float, ...]


@dataclass(frozen=True)
class _Peak:
    score: float
    shift: tuple[float, float]


def correlate(fixed: NDArray[np.float32], moving: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over channels and cells of ``fixed[:, p + d] * moving[:, p]`` for every shift d.

    Maps [D, H, W] and [D, h, w] → [H + h - 1, W + w - 1]; entry (h - 1, w - 1) is the shift of zero.
    """
    return _answer(_spectrum(fixed, fixed, moving), fixed, moving)


def _size(fixed: NDArray[np.float32], moving: NDArray[np.float32]) -> tuple[int, int]:
    rows, cols = (
        fft.next_fast_len(f + m - 1, True) for f, m in zip(fixed.shape[1:], moving.shape[1:], strict=True)
    )
    return rows, cols


def _spectrum(
    of: NDArray[np.float32], fixed: NDArray[np.float32], moving: NDArray[np.float32]
) -> NDArray[np.complex64]:
    return np.asarray(fft.rfft2(of, _size(fixed, moving)))


def _answer(
    spectrum: NDArray[np.complex64], fixed: NDArray[np.float32], moving: NDArray[np.float32]
) -> NDArray[np.float32]:
    flipped = moving[:, ::-1, ::-1]
    product = (spectrum * fft.rfft2(flipped, _size(fixed, moving))).sum(0)
    full = fft.irfft2(product, _size(fixed, moving))
    return np.asarray(full[: fixed.shape[1] + moving.shape[1] - 1, : fixed.shape[2] + moving.shape[2] - 1])


@dataclass(frozen=True)
class _Answers:
    """A DXA's map, ready to be answered by maps of the MRI."""

    fixed: NDArray[np.float32]
    spectrum: NDArray[np.complex64]
    energy: NDArray[np.float32]
    energy_spectrum: NDArray[np.complex64]

    @classmethod
    def of(cls, fixed: FeatureMap, moving: FeatureMap) -> "_Answers":
        values = fixed.values
        energy = (values * values).sum(0, keepdims=True)
        spectra = (_spectrum(v, v, moving.values) for v in (values, energy))
        return cls(values, next(spectra), energy, next(spectra))

    def to(self, moving: FeatureMap) -> NDArray[np.float32]:
        """Normalised cross-correlation at every shift."""
        held = np.asarray(moving.values.any(0, keepdims=True), np.float32)
        product = _answer(self.spectrum, self.fixed, moving.values)
        under = _answer(self.energy_spectrum, self.energy, held)
        under = np.maximum(under, LEAST_ENERGY * max(float(under.max()), 1e-12))
        length = max(float(np.linalg.norm(moving.values)), 1e-6)
        return np.asarray(product / (np.sqrt(under) * length), np.float32)


def _vertex(low: float, middle: float, high: float) -> float:
    """Place of the top of the parabola through three values at -1, 0, 1; within half a step."""
    bend = low - 2 * middle + high
    return float(np.clip(0.5 * (low - high) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def peak(response: NDArray[np.float32]) -> tuple[float, tuple[float, float]]:
    """Largest value, and its (row, col) to a fraction of a cell by a parabola each way."""
    row, col = (int(v) for v in np.unravel_index(int(response.argmax()), response.shape))
    place = []
    for k, line in ((row, response[:, col]), (col, response[row])):
        inner = 0 < k < len(line) - 1
        place.append(k + (_vertex(*(float(v) for v in line[k - 1 : k + 2])) if inner else 0.0))
    return float(response[row, col]), (place[0], place[1])


def search(
    features: Features,
    dxa: PlaneImage,
    mri: PlaneImage,
    *,
    angles_deg: Sequence[float] = ANGLES_DEG,
    near: RigidTransform2D | None = None,
    reach_mm: tuple[float, float] = REACH_MM,
) -> ImageMatch:
    """Find the MRI's projection on the DXA over all shifts and the given, evenly spaced angles.

    The best angle is refined by a parabola, and the shift is read at the refined angle. The response is the
    normalised cross-correlation: the product divided by the lengths of the MRI's map and of the DXA's where
    the MRI lies on it, so that neither strong edges elsewhere (legs) nor a hidden part have an advantage.
    Shifts that take the MRI's middle further than ``reach_mm`` (x, z) from where ``near`` takes it are not
    tried; without ``near``, from the DXA's middle.
    """
    shapes = features.shapes or (None, None)
    still = RigidTransform2D.identity(DXA, DXA)
    fixed_grid = canvas_grid(dxa.grid, features.pixel_mm, shapes[0])
    fixed = features.dxa(lay(dxa, fixed_grid, still))
    moving_grid = canvas_grid(mri.grid, features.pixel_mm, shapes[1])
    start = near.apply(mri.grid.centre_mm) if near else dxa.grid.centre_mm
    middle = start - mri.grid.centre_mm
    answers: list[_Answers] = []

    def at(angle: float) -> _Peak:
        turned = RigidTransform2D.about(mri.grid.centre_mm, angle, np.zeros(2), source=MRI, target=MRI)
        moving = features.mri(lay(mri, moving_grid, turned))
        if not answers:  # maps of all angles are of one size
            answers.append(_Answers.of(fixed, moving))
        response = answers[0].to(moving)
        places = (np.stack([np.arange(n, dtype=np.float64)] * 2, -1) for n in response.shape)
        far = [
            np.abs(_shift_mm(place, fixed, moving, fixed_grid, moving_grid)[:, k] - middle[k]) > reach_mm[k]
            for k, place in zip((1, 0), places, strict=True)
        ]
        if not (far[0].all() or far[1].all()):
            response[far[0]] = response[:, far[1]] = -1.0
        score, place = peak(response)
        x, z = _shift_mm(np.array(place), fixed, moving, fixed_grid, moving_grid)
        return _Peak(score, (float(x), float(z)))

    scores = [at(angle).score for angle in angles_deg]
    best = int(np.argmax(scores))
    angle = float(angles_deg[best])
    if 0 < best < len(scores) - 1:
        step = (angles_deg[best + 1] - angles_deg[best - 1]) / 2
        angle += step * _vertex(*scores[best - 1 : best + 2])
    found = at(angle)
    transform = RigidTransform2D.about(
        mri.grid.centre_mm, angle, np.array(found.shift), source=MRI, target=DXA
    )
    return ImageMatch(transform, found.score, tuple(scores))


def canvas_grid(grid: PixelGrid, pixel_mm: float, shape: tuple[int, int] | None) -> PixelGrid:
    """Square pixels over a grid, or a canvas of a fixed shape about its middle."""
    if shape is None:
        return square_grid(grid.corners_mm, pixel_mm)
    x, z = grid.centre_mm - (np.array(shape[::-1]) - 1) / 2 * pixel_mm
    return PixelGrid((float(x), float(z)), Spacing(pixel_mm, pixel_mm), shape)


def _shift_mm(
    place: NDArray[np.floating], fixed: FeatureMap, moving: FeatureMap, onto: PixelGrid, of: PixelGrid
) -> NDArray[np.float64]:
    """Shift (x, z) of the MRI's millimetres [..., 2] for places (row, col) [..., 2] of the response."""
    cells = np.asarray(place, np.float64) - (np.array(moving.values.shape[1:]) - 1)
    landed = onto.to_mm(cells * fixed.cell_px + fixed.first_px)
    return np.asarray(landed - of.to_mm(np.full(2, moving.first_px)))
