"""How well the sagittal curve can be known from readings of the vertebrae's inclination.

An AP image shows the inclination of each vertebra with an error. This computes the best possible estimate
from such readings: each is the true inclination of a step from one body to the next, plus a smooth pattern
of the person (the shape of his vertebral arches, which nobody knows beforehand) and noise of its own. The
prior is Gaussian with mean and covariance of simulated spines; so is the estimate (Rasmussen & Williams,
Gaussian Processes for Machine Learning, 2006, eq. 2.23).

    python -m benchmarks.bench_reading_bound --centroids table.csv

Spines of the table are the complete ones, to which the prior was not fitted. Errors are those of the
sagittal centre curve, whole and in its two parts, mm, beside those of the mean curve.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.yardsticks.half_real import complete_spines
from benchmarks.yardsticks.sagittal import Parts
from spinelift.evaluate.bootstrap import mean_estimate, ratio_estimate, resample_counts
from spinelift.geometry import SPINE_ROWS
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.prior import N_STEPS, ShapePrior
from spinelift.simulate.body.spine import sample_spine

Float = NDArray[np.float64]


def step_angles(centres: Float) -> Float:
    """Sagittal angles [n, 16], degrees, of the steps of centres [n, 17, 3]."""
    d = np.diff(centres, axis=1)
    return np.asarray(np.degrees(np.arctan2(d[..., 1], d[..., 2])))


def curves_of(angles: Float, centres: Float) -> Float:
    """Depth [n, 209], mm, from the mean, of lines with step angles [n, 16] at the heights of the centres."""
    dz = np.diff(centres[..., 2], axis=1)
    y = np.concatenate([np.zeros((len(dz), 1)), np.cumsum(np.tan(np.radians(angles)) * dz, 1)], 1)
    z = centres[..., 2]
    rows = np.stack(
        [np.interp(np.linspace(a[0], a[-1], SPINE_ROWS), a, b) for a, b in zip(z, y, strict=True)]
    )
    return np.asarray(rows - rows.mean(1, keepdims=True))


def estimate_angles(readings: Float, mean: Float, covariance: Float, error: Float) -> Float:
    """Posterior mean [n, 16] given readings [n, 16] whose errors have the covariance ``error`` [16, 16]."""
    weight = np.linalg.solve(covariance + error, covariance)
    return np.asarray(mean + (readings - mean) @ weight)


def pattern(sd_deg: float, levels: float) -> Float:
    """Covariance [16, 16] of a smooth pattern along the spine; ``levels`` is its correlation length."""
    gap = np.subtract.outer(np.arange(N_STEPS), np.arange(N_STEPS))
    return np.asarray(sd_deg**2 * np.exp(-0.5 * (gap / levels) ** 2))


def simulated_centres(people: int, seed: int) -> Float:
    """Centres [n, 17, 3] of simulated spines."""
    prior, rng = ShapePrior.load(), np.random.default_rng(seed)
    return np.stack([sample_spine(prior, sample_physique(rng), rng).centres for _ in range(people)])


def report(centres: Float, prior: Float, noise: float, smooth: float, levels: float, draws: int) -> str:
    """One line: errors of the best estimate and their ratios to the mean curve's, with 95 % intervals."""
    known, angles = step_angles(prior), step_angles(centres)
    mean, covariance = known.mean(0), np.cov(known.T)
    error = pattern(smooth, levels) + noise**2 * np.eye(N_STEPS)
    rng = np.random.default_rng(5)
    true = Parts.of(curves_of(angles, centres))
    base = Parts.of(curves_of(np.broadcast_to(mean, angles.shape), centres))
    scale = np.ones(len(centres))

    def sizes(p: Parts) -> Float:
        d = p - true
        line = d.inclination[:, None] * d.line
        return np.stack([np.abs(x).mean(1) for x in (line + d.shape, line, d.shape)])

    noisy = rng.multivariate_normal(np.zeros(N_STEPS), error, (draws, len(centres)))
    found = np.mean(
        [
            sizes(Parts.of(curves_of(estimate_angles(angles + e, mean, covariance, error), centres)))
            for e in noisy
        ],
        axis=0,
    )
    usual, counts = sizes(base), resample_counts(len(scale))
    cells = []
    for name, own, other in zip(("whole", "inclination", "shape"), found, usual, strict=True):
        m, r = mean_estimate(own, counts), ratio_estimate(own, other, counts)
        cells.append(
            f"{name} {m.value:.2f} of {other.mean():.2f} mm, ratio {r.value:.2f} ({r.low:.2f}-{r.high:.2f})"
        )
    return "; ".join(cells)


def main(
    centroids: Annotated[Path, typer.Option(help="CSV of vertebral centres.", exists=True)],
    noise: Annotated[float, typer.Option(help="Noise of a reading, degrees.")] = 2.5,
    smooth: Annotated[float, typer.Option(help="Smooth pattern of a person, degrees.")] = 3.0,
    levels: Annotated[float, typer.Option(help="Correlation length of the pattern, levels.")] = 4.0,
    people: Annotated[int, typer.Option(help="Simulated spines of the prior.", min=100)] = 2000,
    draws: Annotated[int, typer.Option(help="Draws of the readings' errors.", min=1)] = 50,
) -> None:
    """Errors of the best estimate on real and on simulated spines."""
    prior, own = simulated_centres(people, 1), simulated_centres(300, 2)
    real = np.stack(list(complete_spines(centroids).values()))
    for name, centres in (("real spines", real), ("simulated spines", own)):
        typer.echo(f"{name}, {len(centres)}: {report(centres, prior, noise, smooth, levels, draws)}")


if __name__ == "__main__":
    typer.run(main)
