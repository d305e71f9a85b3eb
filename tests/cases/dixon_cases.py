"""Asymmetric MR phantoms: a body with a rim of fat, as stations of any size, with planted traps."""

from dataclasses import replace

import numpy as np

from spinelift.simulate.archive.series import STATION_PLANS, DixonStation, StationPlan

SMALL_PLANS = (
    StationPlan(56, 42, 32, 6.0, False),
    StationPlan(56, 44, 22, 9.0, True),
    StationPlan(56, 44, 22, 9.0, True),
    StationPlan(56, 44, 22, 9.0, True),
    StationPlan(56, 40, 36, 7.0, False),
    StationPlan(56, 38, 32, 8.0, False),
)
"""The real stations with pixels four times, slices twice as large."""
SMALL_PIXEL_MM = 2.232 * 4
TOP_MM = 310.0
"""DICOM z (to the head) of the first slice."""


def signal(x, y, z):
    """(water, fat) at project mm, broadcast; z from the first slice to the feet.

    A leaning ellipse with a rim of fat 14 mm thick, water inside, two arms of muscle, a liver on the right
    (x < 0), a spine of half fat at the back, a bright ball of water at the front left.
    """
    cx, cy = 0.03 * z - 15, 8 * np.sin(z / 150)
    a, b = 165 + 15 * np.sin(z / 120), 105 + 10 * np.cos(z / 90)
    r = np.hypot((x - cx) / a, (y - cy) / b)
    depth = (1 - r) * b
    inside = np.clip(depth / 4 + 0.5, 0, 1)
    rim = np.clip((14 - depth) / 4 + 0.5, 0, 1)
    fraction = 0.12 + 0.76 * rim
    texture = 1 + 0.15 * np.sin(x / 17 + z / 31) * np.cos(y / 23 - z / 47)
    liver = np.hypot(np.hypot((x + 80) / 60, (y - 5) / 55), (z - 330) / 90) < 1
    spine = np.hypot((x - cx) / 20, (y - cy - 55) / 18) < 1
    ball = np.hypot(np.hypot(x - 70, y + 40), (z - 560) / 1.5) < 30
    level = 500 * texture * (1 + 0.5 * liver + 0.7 * ball)
    fraction = np.where(spine, 0.5, fraction)
    return inside * level * (1 - fraction), inside * level * fraction


def phantom_stations(
    plans=SMALL_PLANS, pixel_mm=SMALL_PIXEL_MM, *, overlap_mm=39.0, noise=4.0, seed=3, signal=signal
):
    """All 24 series of a clean phantom, head to feet; ``list[DixonStation]``."""
    rng = np.random.default_rng(seed)
    stations, top = [], 0.0
    for k, plan in enumerate(plans):
        x0 = -(plan.columns - 1) / 2 * pixel_mm + 1.3
        y0 = -(plan.rows - 1) / 2 * pixel_mm + 0.7 * k
        x = (x0 + pixel_mm * np.arange(plan.columns))[None, None, :]
        y = (y0 + pixel_mm * np.arange(plan.rows))[None, :, None]
        z = (top + plan.dz_mm * np.arange(plan.slices))[:, None, None]
        water, fat = (np.asarray(v, np.float32) for v in signal(x, y, z))
        volumes = {"in": water + fat, "opp": np.abs(water - fat), "F": fat, "W": water}
        for j, (contrast, clean) in enumerate(volumes.items()):
            noisy = np.abs(clean + noise * rng.standard_normal(clean.shape, np.float32))
            stations.append(
                DixonStation(
                    series_number=2 + 4 * k + j,
                    contrast=contrast,
                    breath_hold=plan.breath_hold,
                    volume=noisy.round().astype(np.uint16),
                    origin_mm=(x0, y0, TOP_MM - top),
                    spacing=(plan.dz_mm, pixel_mm, pixel_mm),
                    acquisition_time=36000.0 + 30 * k,
                )
            )
        top += plan.dz_mm * (plan.slices - 1) - overlap_mm
    return stations


def full_stations(**options):
    """A phantom of the real size."""
    return phantom_stations(STATION_PLANS, 2.232, **options)


def of_station(stations, number):
    """Indices of the series of one station (1-based) of a clean list."""
    return range(4 * (number - 1), 4 * number)


def changed(stations, number, change, *, contrasts=("in", "opp", "F", "W")):
    """The list with ``change(series)`` in place of each series of one station."""
    wanted = of_station(stations, number)
    return [change(s) if k in wanted and s.contrast in contrasts else s for k, s in enumerate(stations)]


def with_volume(series, volume):
    """A series with another volume."""
    return replace(series, volume=np.clip(volume, 0, 65535).round().astype(np.uint16))
