"""Stations resampled in plane to the common grid; slices stay where they were measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spinelift.geometry.arrays import AnyArray, Bool, Float32
from spinelift.io.dixon.coverage import Placed
from spinelift.io.dixon.stations import Station
from spinelift.io.dixon.volume import STITCH_GRID, StitchGrid


@dataclass(frozen=True)
class Slab(Placed):
    """One station on the common grid; the shapes are those of ``STITCH_GRID``.

    ``fat`` and ``water`` are float32 [n, 224, 224], 0 outside the field of view, which ``inside`` is, bool
    [224, 224]. ``coarse_fat`` and ``coarse_water`` are float32 [n, 56, 56]: means of 4×4 pixels, on which
    slices are compared.
    """

    fat: Float32 = field(repr=False)
    water: Float32 = field(repr=False)
    inside: Bool = field(repr=False)
    coarse_fat: Float32 = field(repr=False)
    coarse_water: Float32 = field(repr=False)
    grid: StitchGrid = STITCH_GRID

    @property
    def coarse(self) -> Float32:
        """Fat and water together, [n, 56, 56]: the same whether or not they are swapped."""
        return self.coarse_fat + self.coarse_water

    def without(self, head: int, feet: int) -> "Slab":
        """The slab without its first ``head`` and last ``feet`` slices."""
        keep = slice(head, len(self.z) - feet)
        names = ("z", "fat", "water", "coarse_fat", "coarse_water")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    def swapped(self, wrong: Bool) -> "Slab":
        """The slab with fat and water exchanged in the slices ``wrong`` [n]; changed in place if in part."""
        if wrong.all():
            return replace(
                self,
                fat=self.water,
                water=self.fat,
                coarse_fat=self.coarse_water,
                coarse_water=self.coarse_fat,
            )
        for one, other in ((self.fat, self.water), (self.coarse_fat, self.coarse_water)):
            one[wrong], other[wrong] = other[wrong], one[wrong]
        return self


def common_origin(stations: Sequence[Station], grid: StitchGrid) -> tuple[float, float]:
    """(x, y) mm of the common grid's first pixel: its centre is the median centre of the fields of view."""
    x = np.median([s.grid.x0 + (s.grid.columns - 1) / 2 * s.grid.dx for s in stations])
    y = np.median([s.grid.y0 + (s.grid.rows - 1) / 2 * s.grid.dy for s in stations])
    half_y, half_x = ((n - 1) / 2 * grid.voxel_mm for n in grid.shape[1:])
    return float(x) - half_x, float(y) - half_y


def to_slab(station: Station, origin: tuple[float, float], grid: StitchGrid = STITCH_GRID) -> Slab:
    """Resample a station in plane, linearly; ``origin`` as of ``common_origin``."""
    of = station.grid
    x = _taps(origin[0], grid.voxel_mm, grid.shape[2], of.x0, of.dx, of.columns)
    y = _taps(origin[1], grid.voxel_mm, grid.shape[1], of.y0, of.dy, of.rows)
    fat, water = (_resample(stored, y, x) for stored in (station.fat, station.water))
    coarse_fat, coarse_water = (_pooled(volume, grid.coarse) for volume in (fat, water))
    inside = y.inside[:, None] & x.inside[None, :]
    return Slab(station.number, station.z, station.dz, fat, water, inside, coarse_fat, coarse_water, grid)


@dataclass(frozen=True)
class _Taps:
    """Linear interpolation along one axis: value = (1 − t)·source[first] + t·source[first + 1]."""

    first: NDArray[np.intp]
    t: Float32
    inside: Bool


def _taps(target0: float, target_step: float, count: int, source0: float, step: float, size: int) -> _Taps:
    at = (target0 + target_step * np.arange(count) - source0) / step
    inside = (at > -0.5) & (at < size - 0.5)
    at = np.clip(at, 0, size - 1)
    first = np.minimum(at.astype(np.intp), size - 2)
    return _Taps(first, (at - first).astype(np.float32), inside)


def _resample(stored: AnyArray, y: _Taps, x: _Taps) -> Float32:
    """[n, rows, columns] → float32 [n, 224, 224], a slice at a time to stay in the cache."""
    out = np.zeros((len(stored), len(y.first), len(x.first)), np.float32)
    y_low, y_high = (1 - y.t)[:, None], y.t[:, None]
    x_low, x_high = ((1 - x.t) * x.inside)[:, None], (x.t * x.inside)[:, None]
    rows = np.flatnonzero(y.inside)
    inner = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)
    for k, plane in enumerate(stored):
        columns = np.ascontiguousarray(plane.T, np.float32)
        along_x = np.ascontiguousarray((columns[x.first] * x_low + columns[x.first + 1] * x_high).T)
        out[k, inner] = (along_x[y.first] * y_low + along_x[y.first + 1] * y_high)[inner]
    return out


def _pooled(volume: Float32, block: int) -> Float32:
    """Means of ``block`` × ``block`` pixels in plane."""
    n, height, width = volume.shape
    pool = np.repeat(np.eye(width // block, dtype=np.float32), block, axis=0) / block**2
    coarse: Float32 = (volume @ pool).reshape(n, height // block, block, -1).sum(axis=2)
    return coarse
