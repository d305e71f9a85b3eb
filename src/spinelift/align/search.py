"""Stage 1: rotation and shift of the largest normalised cross-correlation of the maps of DXA and MRI."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from spinelift.align.gradients import Features
from spinelift.align.plane import DXA, MRI, PlaneImage
from spinelift.geometry import PixelGrid, RigidTransform2D
from spinelift.geometry.arrays import Float, Float32

ANGLES_DEG = tuple(np.linspace(-2.0, 2.0, 10).tolist())
"""Ten rotations (paper, section 2)."""
REACH_MM = (120.0, 200.0)
"""Largest distance (x, z) of the MRI's centre from its position with both image centres aligned. The bodies
lie within 60 mm of each other on the tables; the legs change the heights of scans."""
LEAST_ENERGY = 0.05
"""The local energy of the DXA's map is taken as at least this share of its largest, so that noise in empty
regions is not amplified."""
OUT_OF_REACH = -1.0
"""Response of shifts beyond reach: the least value of a normalised cross-correlation."""


@dataclass(frozen=True)
class _FixedMap:
    """A DXA's map with its spectra, for correlation with maps [D, h, w] of one size."""

    shape: tuple[int, ...]
    padded: tuple[int, ...]
    spectrum: NDArray[np.complex64]
    energy_spectrum: NDArray[np.complex64]

    @classmethod
    def of(cls, fixed: Float32, moving: Float32) -> "_FixedMap":
        full = tuple(f + m - 1 for f, m in zip(fixed.shape[1:], moving.shape[1:], strict=True))
        padded = tuple(fft.next_fast_len(n, True) for n in full)
        energy = (fixed * fixed).sum(0, keepdims=True)
        return cls(full, padded, fft.rfft2(fixed, padded), fft.rfft2(energy, padded))

    def response(self, moving: Float32) -> Float32:
        """Normalised cross-correlation at every shift [H + h - 1, W + w - 1]; (h - 1, w - 1) is no shift."""
        held = np.asarray(moving.any(0, keepdims=True), np.float32)
        product, under = self._correlate(self.spectrum, moving), self._correlate(self.energy_spectrum, held)
        under = np.maximum(under, LEAST_ENERGY * max(float(under.max()), 1e-12))
        length = max(float(np.linalg.norm(moving)), 1e-6)
        return np.asarray(product / (np.sqrt(under) * length), np.float32)

    def _correlate(self, spectrum: NDArray[np.complex64], moving: Float32) -> Float32:
        """Sum over channels and cells of ``fixed[:, p + d] * moving[:, p]`` for every shift d."""
        product = (spectrum * fft.rfft2(moving[:, ::-1, ::-1], self.padded)).sum(0)
        return fft.irfft2(product, self.padded)[: self.shape[0], : self.shape[1]]


def _vertex(low: float, middle: float, high: float) -> float:
    """Vertex of the parabola through three values at -1, 0, 1; within half a step."""
    bend = low - 2 * middle + high
    return float(np.clip(0.5 * (low - high) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def peak(response: Float32) -> tuple[float, tuple[float, float]]:
    """Largest value, and its (row, col) to a fraction of a cell by a parabola along each axis."""
    row, col = (int(v) for v in np.unravel_index(int(response.argmax()), response.shape))

    def refine(k: int, line: Float32) -> float:
        return k + (_vertex(*line[k - 1 : k + 2].tolist()) if 0 < k < len(line) - 1 else 0.0)

    return float(response[row, col]), (refine(row, response[:, col]), refine(col, response[row]))


def search(
    features: Features,
    dxa: PlaneImage,
    mri: PlaneImage,
    *,
    angles_deg: Sequence[float] = ANGLES_DEG,
    near: RigidTransform2D | None = None,
    reach_mm: tuple[float, float] = REACH_MM,
) -> RigidTransform2D:
    """From MRI to DXA: the best of all shifts and of the given, evenly spaced angles.

    The best angle is refined by a parabola, and the shift is read at the refined angle. The response is the
    normalised cross-correlation: the product divided by the norms of the MRI's map and of the part of the
    DXA's map under it, so that neither strong edges elsewhere (legs) nor a hidden part have an advantage.
    Shifts that take the MRI's centre further than ``reach_mm`` (x, z) from where ``near`` takes it are left
    out; without ``near``, from the DXA's centre.
    """
    shapes = features.shapes or (None, None)
    fixed_grid = canvas_grid(dxa.grid, features.pixel_mm, shapes[0])
    fixed = features.dxa(dxa.resample_to(fixed_grid))
    moving_grid = canvas_grid(mri.grid, features.pixel_mm, shapes[1])
    centre = mri.grid.centre_mm
    expected = (near.apply(centre) if near else dxa.grid.centre_mm) - centre
    prepared: list[_FixedMap] = []

    def at(angle: float) -> tuple[float, Float]:
        """The largest response at an angle, and its shift (x, z) in mm [2]."""
        turned = RigidTransform2D.about(centre, angle, np.zeros(2), source=MRI, target=MRI)
        moving = features.mri(mri.resample_to(moving_grid, turned))
        if not prepared:  # the maps of all angles have one size
            prepared.append(_FixedMap.of(fixed.values, moving.values))
        response = prepared[0].response(moving.values)

        def shift_mm(cells: Float) -> Float:
            """Shift (x, z) in mm [..., 2] of positions (row, col) [..., 2] in the response."""
            moved = cells - (np.array(moving.values.shape[1:]) - 1)
            landed = fixed_grid.to_mm(moved * fixed.cell_px + fixed.first_px)
            return landed - moving_grid.to_mm(np.full(2, moving.first_px))

        cells = (np.arange(n, dtype=np.float64) for n in response.shape)
        z, x = (shift_mm(np.stack([k, k], -1))[:, axis] for k, axis in zip(cells, (1, 0), strict=True))
        far_z, far_x = np.abs(z - expected[1]) > reach_mm[1], np.abs(x - expected[0]) > reach_mm[0]
        if not (far_z.all() or far_x.all()):
            response[far_z] = response[:, far_x] = OUT_OF_REACH
        score, position = peak(response)
        return score, shift_mm(np.array(position))

    scores = [at(angle)[0] for angle in angles_deg]
    best = int(np.argmax(scores))
    angle = float(angles_deg[best])
    if 0 < best < len(scores) - 1:
        step = (angles_deg[best + 1] - angles_deg[best - 1]) / 2
        angle += step * _vertex(*scores[best - 1 : best + 2])
    return RigidTransform2D.about(centre, angle, at(angle)[1], source=MRI, target=DXA)


def canvas_grid(grid: PixelGrid, pixel_mm: float, shape: tuple[int, int] | None) -> PixelGrid:
    """Square pixels that cover a grid, or a canvas of a fixed shape with the same centre."""
    if shape is None:
        return PixelGrid.covering(grid.corners_mm, pixel_mm)
    return PixelGrid.square(grid.centre_mm, pixel_mm, shape)
