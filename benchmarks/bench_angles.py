"""Coronal angles against experts' Cobb angles, closed forms and noise, for several strengths of smoothing.

Run: python benchmarks/bench_angles.py AASCE_JSON [--centroids CSV] [--study]

AASCE_JSON is a list of radiographs with ``centres_px`` [17, 2] (x, y down), ``endplate_deg`` [17, 2] and
``cobb_deg`` [3]. CSV has vertebral centres as ``spinelift simulate fit-prior`` reads them; its complete
spines join the noise table. ``--study`` adds other strengths of smoothing to the shipped one.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from spinelift.measures import COBB_PER_FERGUSON, LEVEL_HEIGHTS, CoronalAngles, coronal_angles
from spinelift.measures.angles import SMOOTHING
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.prior import ShapePrior, read_centres
from spinelift.simulate.body.spine import sample_spine

Float = NDArray[np.float64]
Line = tuple[Float, Float]
Measure = Callable[[Float, Float], CoronalAngles]

HEIGHT_MM = 440.0
AASCE_HEIGHT_MM = 400.0
SOUND_WITHIN_DEG = 5.0
"""A label is sound if it is this near to the range of the vertebrae's tilts (mean of both endplates)."""
NOISE_MM, COPIES, CORRELATION_MM = 0.8, 30, (5.0, 10.0, 20.0, 30.0)
STUDY = (0.25, 0.3, 0.35, 0.45, 0.5)


def agreement(found: Float, label: Float) -> str:
    d = found - label
    r = np.corrcoef(found, label)[0, 1]
    return f"n {len(d):3d}  r {r:.3f}  bias {d.mean():+5.2f}  limits ±{1.96 * d.std(ddof=1):4.1f}"


def aasce(path: Path, measure: Measure) -> None:
    """Largest Cobb-equivalent, and 1.35 × Ferguson, against the largest expert Cobb angle."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    centres = np.array([row["centres_px"] for row in rows])
    ordered = (np.diff(centres[:, :, 1], axis=1) > 0).all(1)
    cobb = np.array([max(row["cobb_deg"]) for row in rows])[ordered]
    tilt = np.array([row["endplate_deg"] for row in rows])[ordered].mean(2)
    sound = np.abs(np.ptp(tilt, axis=1) - cobb) <= SOUND_WITHIN_DEG
    angles = []
    for c in centres[ordered]:
        mm = (c - c[0]) * AASCE_HEIGHT_MM / (c[-1, 1] - c[0, 1])
        angles.append(measure(mm[:, 1], mm[:, 0]))
    found = {
        "Cobb-equivalent": np.array([a.cobb_equivalent_deg for a in angles]),
        "1.35 x Ferguson": COBB_PER_FERGUSON * np.array([a.ferguson_deg for a in angles]),
    }
    halves = np.random.default_rng(0).permutation(len(cobb)) % 2 == 0
    print(f"  AASCE: {len(rows)} radiographs, {ordered.sum()} in order, {sound.sum()} with a sound label")
    sets = {
        "in order": sound | True,
        "sound": sound,
        "sound, half 1": sound & halves,
        "sound, half 2": sound & ~halves,
    }
    for name, values in found.items():
        for which, chosen in sets.items():
            print(f"    {name:16s} {which:14s} {agreement(values[chosen], cobb[chosen])}")


def closed_forms(measure: Measure) -> None:
    """Errors on arcs and sines, degrees. A sine's main curve has its ends a quarter wave from its apex."""
    z = np.linspace(0, HEIGHT_MM, 209)
    print("  closed forms: error of Ferguson, of Cobb-equivalent (true Ferguson, true Cobb), degrees")
    for angle in (10.0, 20.0, 40.0):
        radius = HEIGHT_MM / 2 / np.sin(np.radians(angle) / 2)
        got = measure(z, np.sqrt(radius**2 - (z - HEIGHT_MM / 2) ** 2))
        _closed_form(f"arc of {angle:.0f}", got, angle / 2, angle)
    for waves, phase in ((1.0, 0.0), (1.0, 0.25), (1.25, 0.0), (1.5, 0.0), (2.0, 0.0)):
        amplitude, quarter = 10 / waves, HEIGHT_MM / waves / 4
        got = measure(z, amplitude * np.sin(2 * np.pi * (waves * z / HEIGHT_MM + phase)))
        slope = amplitude * np.pi / 2 / quarter
        true = [2 * np.degrees(np.arctan(v)) for v in (amplitude / quarter, slope)]
        _closed_form(f"{waves:.2f} waves from {phase:.2f}", got, *true)


def _closed_form(name: str, got: CoronalAngles, ferguson: float, cobb: float) -> None:
    errors = f"{got.ferguson_deg - ferguson:+6.3f} {got.cobb_equivalent_deg - cobb:+6.3f}"
    print(f"    {name:20s} {errors}   ({ferguson:.2f}, {cobb:.2f})")


def spines(centroids: Path | None) -> Iterator[tuple[str, Line]]:
    """Spines of the simulator, complete ones read off CT, and three that are nearly or quite straight."""
    prior = ShapePrior.load()
    for n in range(10 if centroids else 20):
        rng = np.random.default_rng([77, n])
        physique = sample_physique(rng)
        z, mm = sample_spine(prior, physique, rng).curves_mm()
        yield "simulated", (z, mm[1])
    if centroids:
        complete = [c for c in read_centres(centroids).values() if np.isfinite(c).all()]
        for c in complete[::6][:10]:
            first, last = LEVEL_HEIGHTS[[0, -1]]
            per_unit = (c[-1, 2] - c[0, 2]) / (last - first)
            z = c[0, 2] + np.linspace(-first, 1 - first, 209) * per_unit
            yield "CT", (z, CubicSpline(c[:, 2], c[:, 0])(z))
    z = np.linspace(0, HEIGHT_MM, 209)
    one_degree = np.tan(np.radians(1.0))
    yield "arc of 2.0 Ferguson", (z, HEIGHT_MM / 2 * one_degree * (1 - (2 * z / HEIGHT_MM - 1) ** 2))
    yield "S of 2.0 Ferguson", (z, HEIGHT_MM / 4 * one_degree * np.sin(2 * np.pi * z / HEIGHT_MM))
    yield "straight", (z, 0 * z)


def smooth_noise(rng: np.random.Generator, z: Float, correlation_mm: float) -> Float:
    """White noise smoothed by a Gaussian along z and scaled to ``NOISE_MM`` [COPIES, n]."""
    sigma = correlation_mm / (z[1] - z[0])
    wide = int(5 * sigma) + 1
    noise = gaussian_filter1d(rng.normal(size=(COPIES, len(z) + 2 * wide)), sigma, axis=1)[:, wide:-wide]
    kernel = gaussian_filter1d(np.eye(1, 2 * wide + 1, wide)[0], sigma)
    return np.asarray(NOISE_MM * noise / np.linalg.norm(kernel))


def noise(measure: Measure, lines: list[tuple[str, Line]]) -> None:
    """Standard deviation over noisy copies of each spine: mean over spines, worst spine; smallest angle."""
    print(f"  noise: {COPIES} copies with {NOISE_MM} mm, smoothed over the length given")
    for length in CORRELATION_MM:
        table = []
        for k, (_, (z, x)) in enumerate(lines):
            copies = x + smooth_noise(np.random.default_rng([k, int(length)]), z, length)
            got = [measure(z, c) for c in (x, *copies)]
            table.append([(a.ferguson_deg, a.cobb_equivalent_deg) for a in got])
        true, noisy = np.array(table)[:, 0], np.array(table)[:, 1:]
        sd, bias = noisy.std(1, ddof=1), noisy.mean(1) - true
        for j, name in enumerate(("Ferguson", "Cobb-equivalent")):
            ends = "  ".join(
                f"{lines[k][0]}: {noisy[k, :, j].mean():.2f} ± {sd[k, j]:.2f}" for k in (-3, -2, -1)
            )
            print(
                f"    {length:4.0f} mm {name:16s} sd {sd[:-3, j].mean():.2f}, worst {sd[:-3, j].max():.2f}, "
                f"bias {bias[:-3, j].mean():+.2f}, smallest {noisy[:, :, j].min():.2f}; {ends}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("aasce", type=Path)
    parser.add_argument("--centroids", type=Path)
    parser.add_argument("--study", action="store_true")
    options = parser.parse_args()
    lines = list(spines(options.centroids))
    for smoothing in [SMOOTHING, *(STUDY if options.study else ())]:

        def measure(z: Float, x: Float, smoothing: float = smoothing) -> CoronalAngles:
            return coronal_angles(z, x, smoothing=smoothing)

        print(f"smoothing {smoothing}")
        aasce(options.aasce, measure)
        closed_forms(measure)
        noise(measure, lines)


if __name__ == "__main__":
    main()
