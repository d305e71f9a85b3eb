"""A body in the scanner: six stations of two-point Dixon, as the scanner measures and names them.

Coil sensitivity, breathing, the patient's small movements between stations, noise of both echoes, and the
scanner's own water and fat: W = |I + O| / 2, F = |I − O| / 2 of in-phase and opposed echo (Dixon,
Radiology 153 (1984), 189-194). Magnitudes of noisy complex signals are Rician.
"""

from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import AnyFloat, Float32
from spinelift.simulate.archive import series
from spinelift.simulate.archive.series import PIXEL_MM, STATION_PLANS, Contrast, DixonStation
from spinelift.simulate.kernels import numba
from spinelift.simulate.mr.echoes import EchoVolume

OVERLAP_MM = 38.8
"""Mean overlap of neighbouring stations: six of 1,294 mm in all make a body of 1.1 m."""
LENGTH_MM = sum(p.slices * p.dz_mm for p in STATION_PLANS) - 5 * OVERLAP_MM
FAT_LEVEL = 420.0
"""Grey value of fat in phase at mean gain."""
FAT_SIGNAL = 0.085
BREATH_FADES_MM = 80.0
"""Height over which breathing fades away at both ends of the trunk."""


@dataclass(frozen=True)
class Placing:
    """Where a station is measured, and how the person lies in it.

    ``number`` is 1-based from the head; ``origin_mm`` (x, y, z) that of voxel (0, 0, 0), z to the feet. Since
    the first station the person moved by ``moved_mm`` (x, y, z), and the front of chest and belly forward and
    to the feet by ``breath_mm`` (y, z). ``gain`` is a factor of all grey values; ``dark_ends`` counts the
    slices at the upper and lower end that are dark and folded.
    """

    plan: series.StationPlan
    number: int
    origin_mm: tuple[float, float, float]
    moved_mm: tuple[float, float, float]
    breath_mm: tuple[float, float]
    gain: float
    dark_ends: tuple[int, int] = (0, 0)

    @property
    def span_mm(self) -> tuple[float, float]:
        """Upper and lower face of the station."""
        z, dz = self.origin_mm[2], self.plan.dz_mm
        return z - dz / 2, z + (self.plan.slices - 0.5) * dz


def place_stations(top_mm: float, rng: np.random.Generator) -> list[Placing]:
    """Stations from a top face downwards, about the axis x = 0, y = 0."""
    out = []
    moved = np.zeros(3)
    for number, plan in enumerate(STATION_PLANS, 1):
        row = np.round(rng.normal(0, 3.0)) * PIXEL_MM
        x, y = -(plan.columns - 1) / 2 * PIXEL_MM, -(plan.rows - 1) / 2 * PIXEL_MM + row
        back, down = rng.normal(0, 1.0, 2).tolist()
        breath = (back * 3.5, down * 7.0) if plan.breath_hold else (back * 1.5, down * 2.5)
        dx, dy, dz = moved.tolist()
        gain = float(np.exp(rng.normal(0, 0.13)))
        out.append(Placing(plan, number, (x, y, top_mm + plan.dz_mm / 2), (dx, dy, dz), breath, gain))
        moved += rng.normal(0, 0.35, 3)
        top_mm += plan.slices * plan.dz_mm - OVERLAP_MM + float(rng.normal(0, 1.5))
    return out


@dataclass(frozen=True)
class Breathing:
    """Where breathing moves the body: in front of ``y_mm``, between two heights."""

    y_mm: float
    top_mm: float
    bottom_mm: float

    def share(self, z: AnyFloat) -> AnyFloat:
        """How much of a breath the front moves at heights ``z``, 0 to 1."""
        down, up = (z - self.top_mm) / BREATH_FADES_MM, (self.bottom_mm - z) / BREATH_FADES_MM
        return np.asarray(np.clip(down, 0, 1) * np.clip(up, 0, 1))


def measure(
    volume: EchoVolume, placing: Placing, breathing: Breathing, noise: float, rng: np.random.Generator
) -> dict[Contrast, Float32]:
    """The four pictures of a station, float32 [slices, rows, columns]: what ``series.CONTRASTS`` names."""
    plan = placing.plan
    z = placing.origin_mm[2] + np.arange(plan.slices) * plan.dz_mm
    y = placing.origin_mm[1] + np.arange(plan.rows) * PIXEL_MM
    front = np.clip((breathing.y_mm - y) / 90.0, 0, 1) ** 1.5
    start = np.array(placing.origin_mm) - placing.moved_mm - np.array(volume.origin_mm)
    step_x, step_y, step_z = volume.step_mm
    echoes = np.empty((2, plan.slices, plan.rows, plan.columns), np.float32)
    _sample(
        echoes,
        volume.echoes,
        (start[2] + np.arange(plan.slices) * plan.dz_mm) / step_z,
        (start[1] + np.arange(plan.rows) * PIXEL_MM) / step_y,
        start[0] / step_x,
        front * placing.breath_mm[0] / step_y,
        front * placing.breath_mm[1] / step_z,
        breathing.share(z),
        plan.dz_mm / step_z,
    )
    echoes *= FAT_LEVEL / FAT_SIGNAL * placing.gain * _coil(placing, rng)
    _end_slices(echoes, placing, rng)
    dust = rng.standard_normal((4, *echoes.shape[1:]), np.float32)  # noise of both channels of both echoes
    dust *= np.float32(noise * placing.gain)
    first, second = echoes[0] + dust[0], echoes[1] + dust[1]
    return {
        "in": np.hypot(first, dust[2]),
        "opp": np.hypot(second, dust[3]),
        "F": 0.5 * np.hypot(first - second, dust[2] - dust[3]),
        "W": 0.5 * np.hypot(first + second, dust[2] + dust[3]),
    }


def _coil(placing: Placing, rng: np.random.Generator) -> Float32:
    """Sensitivity [slices, rows, columns] with mean about 1: brighter near the coils, weaker at slab ends."""
    plan = placing.plan
    z, y, x = (np.linspace(-1, 1, n) for n in (plan.slices, plan.rows, plan.columns))
    along_z = rng.normal(0, 0.06) * z + rng.normal(0, 0.05) * z**2 - 0.35 * np.abs(z) ** 24
    along_y = rng.normal(0, 0.08) * y + rng.uniform(0.1, 0.45) * y**2
    along_x = rng.normal(0, 0.06) * x - rng.uniform(0.0, 0.35) * x**2
    wave = rng.normal(0, 0.07) * np.sin(np.pi * x + rng.uniform(0, 6))
    wave = wave[None] * np.cos(2 * y + rng.uniform(0, 6))[:, None]
    plane = np.exp(along_y[:, None] + along_x[None] + wave)
    return (np.exp(along_z)[:, None, None] * plane[None]).astype(np.float32)


def _end_slices(echoes: Float32, placing: Placing, rng: np.random.Generator) -> None:
    """Darken the chosen end slices and fold the slab's other end into them, in place."""
    n = echoes.shape[1]
    for end, count in enumerate(placing.dark_ends):
        for k in range(count):
            dark = np.float32(0.12 + 0.5 * (k / count) ** 2 + rng.uniform(-0.03, 0.03))
            fold = np.float32(0.3 * (1 - k / count) * rng.uniform(0.6, 1.2))
            own, other = (k, n - 1 - count + k) if end == 0 else (n - 1 - k, count - k)
            echoes[:, own] = dark * echoes[:, own] + fold * echoes[:, other]


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def _sample(out, echoes, zs, ys, x0, push_y, push_z, near, thick):  # type: ignore[no-untyped-def]
    """Trilinear samples, averaged over the thickness of a slice; 0 outside."""
    _, slices, rows, cols = out.shape
    nz, ny, nx = echoes.shape[1:]
    jx = int(np.floor(x0))
    wx = np.float32(x0 - jx)
    for s in range(slices):
        for r in range(rows):
            y = ys[r] + push_y[r] * near[s]
            j = int(np.floor(y))
            wy = np.float32(y - j)
            for c in range(cols):
                out[0, s, r, c] = 0
                out[1, s, r, c] = 0
            if j < 0 or j + 1 >= ny:
                continue
            for tap in range(2):
                z = zs[s] - push_z[r] * near[s] + (tap - 0.5) * 0.5 * thick
                i = int(np.floor(z))
                if i < 0 or i + 1 >= nz:
                    continue
                wz = np.float32(z - i)
                a = np.float32(0.5) * (1 - wz) * (1 - wy)
                b = np.float32(0.5) * (1 - wz) * wy
                d = np.float32(0.5) * wz * (1 - wy)
                e = np.float32(0.5) * wz * wy
                for c in range(max(0, -jx), min(cols, nx - 1 - jx)):
                    x = c + jx
                    for k in range(2):
                        left = a * echoes[k, i, j, x] + b * echoes[k, i, j + 1, x]
                        left += d * echoes[k, i + 1, j, x] + e * echoes[k, i + 1, j + 1, x]
                        right = a * echoes[k, i, j, x + 1] + b * echoes[k, i, j + 1, x + 1]
                        right += d * echoes[k, i + 1, j, x + 1] + e * echoes[k, i + 1, j + 1, x + 1]
                        out[k, s, r, c] += left + wx * (right - left)


def as_series(
    pictures: dict[Contrast, Float32], placing: Placing, *, first_number: int, time_s: float
) -> list[DixonStation]:
    """The four series of a station as files hold them: uint16, 12 bits used, origin with z to the head."""
    x, y, z = placing.origin_mm
    plan = placing.plan
    return [
        DixonStation(
            series_number=first_number + k,
            contrast=contrast,
            breath_hold=plan.breath_hold,
            volume=np.clip(np.rint(pictures[contrast]), 0, 4095).astype(np.uint16),
            origin_mm=(x, y, -z),
            spacing=(plan.dz_mm, PIXEL_MM, PIXEL_MM),
            acquisition_time=time_s,
        )
        for k, contrast in enumerate(series.CONTRASTS)
    ]
