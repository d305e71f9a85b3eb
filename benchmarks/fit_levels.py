"""Proportions of the vertebral bodies along T1 to L5: the numbers in measures/levels.py, and their errors.

Run: python benchmarks/fit_levels.py CENTROIDS_CSV [--people 200]

CENTROIDS_CSV has vertebral centres as ``spinelift simulate fit-prior`` reads them; its complete spines are
used. Accuracy is that of every spine by the proportions of the others (leave one out), and of simulated
people by the shipped ones. A level is one off if its height is nearer to a neighbour's centre.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spinelift.geometry import Vertebra
from spinelift.measures.levels import (
    END_SD_MM,
    LENGTH_MEAN_MM,
    LENGTH_SD_MM,
    LEVEL_SD,
    LEVEL_SHARES,
    UNUSUAL_SD,
)
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.prior import ShapePrior, read_centres
from spinelift.simulate.body.spine import sample_spine

Float = NDArray[np.float64]
Z90 = 1.645


END_SHARES = 0.384, 0.288
"""How far the endplates of T1 and L5 lie beyond the centres, as shares of the distance to the next centre:
means of simulated people. Half a distance would add half a disc; L5 is tilted."""


def ends_of(z: Float) -> tuple[Float, Float]:
    """Heights [n] of T1's upper and L5's lower endplate of spines with centres [n, 17]."""
    step = np.diff(z, axis=1)
    return z[:, 0] - END_SHARES[0] * step[:, 0], z[:, -1] + END_SHARES[1] * step[:, -1]


def accuracy(name: str, z: Float, top: Float, bottom: Float, share: Float, sd: Float) -> None:
    """Errors of levels at ``share`` [n, 17] between the ends, with and without errors of the ends."""
    rng = np.random.default_rng(0)
    for what, noise in (("true ends", 0.0), ("predicted ends", END_SD_MM)):
        a, b = (end + rng.normal(0, noise, len(end)) for end in (top, bottom))
        found = a[:, None] + share * (b - a)[:, None]
        width = Z90 * np.hypot(sd * (b - a)[:, None], noise * np.hypot(share, 1 - share))
        error = np.abs(found - z)
        nearest = np.abs(found[:, :, None] - z[:, None]).argmin(2)
        off = np.abs(nearest - np.arange(len(Vertebra)))
        print(
            f"{name}, {what}: {len(z)} spines, mean error {error.mean():.1f} mm, worst level "
            f"{Vertebra(error.mean(0).argmax()).name} {error.mean(0).max():.1f} mm, one level off "
            f"{100 * (off == 1).mean():.1f} %, more {100 * (off > 1).mean():.1f} %, "
            f"90 % interval holds {100 * (error <= width).mean():.0f} %"
        )


def real(table: Path) -> None:
    """Fit to the complete spines of a table, and accuracy with each left out in turn."""
    centres = [c for c in read_centres(table).values() if np.isfinite(c).all()]
    z = np.array(centres)[:, :, 2]
    top, bottom = ends_of(z)
    length = bottom - top
    share = (z - top[:, None]) / length[:, None]
    print("median", np.median(share, 0).round(4).tolist(), "shipped", LEVEL_SHARES.tolist())
    print("sd    ", share.std(0, ddof=1).round(4).tolist(), "shipped", LEVEL_SD.tolist())
    print(
        f"length {length.mean():.1f} ± {length.std(ddof=1):.1f} mm, shipped {LENGTH_MEAN_MM} ± {LENGTH_SD_MM}"
    )
    others = [np.delete(share, k, 0) for k in range(len(z))]
    left_out = np.array([np.median(rest, 0) for rest in others])
    spread = np.array([rest.std(0, ddof=1) for rest in others])
    accuracy("left out", z, top, bottom, left_out, spread)
    usual = UNUSUAL_SD * LENGTH_SD_MM
    for name, extra in (("13th thoracic", Vertebra.T12), ("6th lumbar", Vertebra.L5)):
        step = np.diff(z, axis=1)[:, extra - 1]  # the additional vertebra is as high as its upper neighbour
        seen = (length + step - LENGTH_MEAN_MM > usual).mean()
        without = (length - LENGTH_MEAN_MM > usual).mean()
        print(f"with a {name} vertebra {100 * seen:.0f} % are warned of, without {100 * without:.0f} %")


def simulated(people: int) -> None:
    """Accuracy on simulated people, whose true ends are those of the endplates."""
    prior, spines = ShapePrior.load(), []
    for n in range(people):
        rng = np.random.default_rng([15, n])
        spines.append(sample_spine(prior, sample_physique(rng), rng))
    z = np.array([spine.centres[:, 2] for spine in spines])
    top, bottom = (np.array([spine.ends[k][2] for spine in spines]) for k in (0, 1))
    step = np.diff(z, axis=1)
    shares = ((z[:, 0] - top) / step[:, 0]).mean(), ((bottom - z[:, -1]) / step[:, -1]).mean()
    print(f"endplates beyond the centres: {shares[0]:.3f}, {shares[1]:.3f} of a distance")
    usual = np.abs(bottom - top - LENGTH_MEAN_MM) <= UNUSUAL_SD * LENGTH_SD_MM
    print(f"simulated: {100 * (~usual).mean():.0f} % are warned of for their length")
    accuracy("simulated", z, top, bottom, np.tile(LEVEL_SHARES, (people, 1)), LEVEL_SD)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("centroids", type=Path)
    parser.add_argument("--people", type=int, default=200)
    options = parser.parse_args()
    real(options.centroids)
    simulated(options.people)


if __name__ == "__main__":
    main()
