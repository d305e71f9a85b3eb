"""One definition of scoliosis: by the simulator's design, by the truth files, and by curves of perfect masks.

Run: spinelift simulate dxa --people 300 --seed 7 --workers 2 --out FOLDER
     python benchmarks/bench_scoliosis.py FOLDER

The design is drawn again from seed and number. A perfect mask is the column of the truth file on pixels of
2.4 mm, with edges to a fraction of a pixel or hard ones; its curves come from the functions that the cohort
build uses.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spinelift.curves import Curve
from spinelift.curves.masks import coronal_from_edges, mask_edges
from spinelift.geometry import Spacing
from spinelift.io.truth import SimulatedTruth, read_truth
from spinelift.measures import SCOLIOSIS_DEG, coronal_angles
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.body.spine import sample_spine
from spinelift.simulate.identity import person_rng

Float = NDArray[np.float64]
PIXEL_MM, MARGIN_MM = 2.4, 40.0


def design(truth: SimulatedTruth) -> float:
    """Angle of the spine that the simulator drew for this person, degrees."""
    rng = person_rng(truth.seed, truth.person)
    return sample_spine(ShapePrior.load(), sample_physique(rng), rng).ferguson_deg


def of_mask(truth: SimulatedTruth, *, hard: bool) -> float:
    """Angle of the centre line that is found in a perfect mask, degrees."""
    rng = np.random.default_rng([truth.seed, truth.person, 1])
    z_true, curves = truth.dxa.z_mm, truth.dxa.curves_mm
    z = np.arange(z_true[0] - MARGIN_MM + rng.uniform(0, PIXEL_MM), z_true[-1] + MARGIN_MM, PIXEL_MM)
    low, high = curves[:3].min() - MARGIN_MM, curves[:3].max() + MARGIN_MM
    x = np.arange(low + rng.uniform(0, PIXEL_MM), high, PIXEL_MM)
    left, right = (np.interp(z, z_true, curves[c])[:, None] for c in (Curve.LEFT, Curve.RIGHT))
    across = np.clip(np.minimum(left - x, x - right) / PIXEL_MM + 0.5, 0, 1)
    along = np.clip(np.minimum(z - z_true[0], z_true[-1] - z) / PIXEL_MM + 0.5, 0, 1)
    mask = across * along[:, None]
    rows, found = coronal_from_edges(
        mask_edges((mask >= 0.5).astype(float) if hard else mask, Spacing(PIXEL_MM, PIXEL_MM))
    )
    return coronal_angles(rows, found[Curve.CENTRE]).ferguson_deg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    truths = [read_truth(path) for path in sorted((parser.parse_args().folder / "truth").glob("*.json"))]
    angles: dict[str, Float] = {
        "design": np.array([design(t) for t in truths]),
        "truth file": np.array([t.dxa.ferguson_deg for t in truths]),
        "perfect mask, soft edges": np.array([of_mask(t, hard=False) for t in truths]),
        "perfect mask, hard edges": np.array([of_mask(t, hard=True) for t in truths]),
    }
    print(f"{len(truths)} people")
    for name, found in angles.items():
        gap, flips = found - angles["design"], (found >= SCOLIOSIS_DEG) != (angles["design"] >= SCOLIOSIS_DEG)
        print(
            f"{name:26} {(found >= SCOLIOSIS_DEG).mean():6.1%} scoliotic   difference from the design "
            f"{gap.mean():+.2f} ± {gap.std():.2f}, largest {np.abs(gap).max():.2f} degrees   "
            f"{flips.sum()} labels flip"
        )


if __name__ == "__main__":
    main()
