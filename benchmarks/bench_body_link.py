"""What the body alone says of the sagittal curve: a ridge regression on its bones as seen from the front.

Run: python -m benchmarks.bench_body_link --people 150 --seed 31

Of every bone but the vertebrae: the middle and the ends of its outline, left and right averaged, relative to
the spine's ends. Depth is left out, as a front view does not show it. No pictures are made. Ten folds; the
penalty is chosen within each. The explained share of the variance is near or below 0 where the body says
nothing.
"""

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spinelift.curves import Curve
from spinelift.simulate.body.body import Body, sample_body
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.identity import person_rng

Float = NDArray[np.float64]
BONES = ("sternum", "clavicle", "scapula", "C7", "C4", "skull", "sacrum", "hip", "humerus")
PENALTIES = np.geomspace(1, 1e4, 13)
FOLDS = 10


def features(body: Body) -> Float:
    """Where the bones lie, seen from the front, relative to the spine's ends."""
    top, bottom = body.spine.ends
    height, middle = bottom[2] - top[2], body.spine.centres[:, 0].mean()
    outlines: dict[str, list[Float]] = {}
    for solid in body.solids:
        kind = solid.name.partition("_")[0]
        name = solid.name.replace("_L", "_").replace("_R", "_")
        if kind == "rib" or kind in BONES:
            x, z = np.abs(solid.points[:, 0] - middle), solid.points[:, 2] - top[2]
            inner = z[np.argsort(x)[: max(1, len(x) // 10)]].mean()
            values = [x.mean(), z.mean(), x.max(), inner, z.min(), z.max()]
            outlines.setdefault(name, []).append(np.array(values) / height)
    names = [*(f"rib_{n}" for n in range(1, 12)), "sternum", "clavicle_", "scapula_", "C7", "C4", "skull"]
    return np.concatenate([np.mean(outlines[n], 0) for n in [*names, "sacrum", "hip_", "humerus"]])


def targets(body: Body) -> tuple[float, Float]:
    """Sagittal inclination, degrees, and shape: the centre curve without it at 17 heights, mm."""
    z, mm = body.spine.curves_mm()
    slope, level = np.polyfit(z, mm[Curve.SAGITTAL], 1)
    shape = mm[Curve.SAGITTAL] - slope * z - level
    return float(np.degrees(np.arctan(slope))), shape[:: len(z) // 16][:17]


def ridge(x: Float, y: Float, at: Float, penalty: float) -> Float:
    """Prediction at ``at`` [m, f] of a ridge regression of ``y`` [n, t] on ``x`` [n, f], standardised."""
    mean, sd = x.mean(0), x.std(0) + 1e-9
    x, at, centre = (x - mean) / sd, (at - mean) / sd, y.mean(0)
    weights = np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y - centre)
    return np.asarray(at @ (x.T @ weights) + centre)


def out_of_fold(x: Float, y: Float, predict: Callable[[Float, Float, Float], Float]) -> Float:
    """Prediction for each row by a model that has not seen it."""
    out, fold = np.empty_like(y), np.arange(len(x)) % FOLDS
    for k in range(FOLDS):
        out[fold == k] = predict(x[fold != k], y[fold != k], x[fold == k])
    return out


def tuned(x: Float, y: Float, at: Float) -> Float:
    """Ridge regression with the penalty that is best out of fold."""

    def error(penalty: float) -> float:
        return float(((out_of_fold(x, y, lambda a, b, c: ridge(a, b, c, penalty)) - y) ** 2).sum())

    return ridge(x, y, at, min(PENALTIES, key=error))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--foreign", type=float, nargs="+", default=[0.0, 0.9, 1.0])
    args = parser.parse_args()
    print("foreign bodies | inclination: r, explained | shape: r, explained | r of shape by thirds, T1 to L5")
    for share in args.foreign:
        people = [
            sample_body(ShapePrior.load(), person_rng(args.seed, n), whole=False, foreign=share)
            for n in range(args.people)
        ]
        x = np.array([features(body) for body in people])
        truth = [targets(body) for body in people]
        inclination, shape = np.array([t[0] for t in truth])[:, None], np.array([t[1] for t in truth])
        figures = []
        for y in (inclination, shape):
            found, true = out_of_fold(x, y, tuned) - y.mean(0), y - y.mean(0)
            figures += [float(np.corrcoef(found.ravel(), true.ravel())[0, 1])]
            figures += [float(1 - ((found - true) ** 2).sum() / (true**2).sum())]
        thirds = [
            float(np.corrcoef(f.ravel(), t.ravel())[0, 1])
            for f, t in zip(np.array_split(found, 3, 1), np.array_split(true, 3, 1), strict=True)
        ]
        print(
            f"{share:4.0%} | {figures[0]:5.2f} {figures[1]:6.2f} | {figures[2]:5.2f} {figures[3]:6.2f} |",
            " ".join(f"{r:5.2f}" for r in thirds),
        )


if __name__ == "__main__":
    main()
