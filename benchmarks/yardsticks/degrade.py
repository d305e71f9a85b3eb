"""Images made worse step by step: the error should go to the mean curve's, and the interval with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.yardsticks.case import YardstickCase
from benchmarks.yardsticks.score import Predictor, case_errors, predict_cases
from spinelift.errors import MissingExtraError

Float = NDArray[np.float64]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Step:
    """One strength of one kind of damage: errors and intervals, mm, means over people."""

    kind: str
    strength: float
    sagittal_mae_mm: float
    coronal_mae_mm: float
    sagittal_interval90_mm: float
    sagittal_coverage90_percent: float
    mean_curve_mae_mm: float


def blur(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Gaussian blur; strength is its standard deviation in px."""
    return _bytes(np.asarray(ndimage.gaussian_filter(image.astype(np.float64), strength), np.float64))


def noise(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """White noise inside the body; strength is its standard deviation in grey levels."""
    return _bytes(image + (image > 0) * rng.normal(0, strength, image.shape))


def saturation(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Brightness times ``1 + strength``, cut off at white."""
    return _bytes(image.astype(np.float64) * (1 + strength))


def missing_rows(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """A share of the rows set to 0, in one band at a random place."""
    count = round(strength * len(image))
    first = int(rng.integers(0, len(image) - count + 1))
    out = image.copy()
    out[first : first + count] = 0
    return out


DAMAGES: dict[str, tuple[Callable[[Image, float, np.random.Generator], Image], tuple[float, ...], str]] = {
    "blur": (blur, (0, 1, 2, 4, 8, 16, 32), "standard deviation, px"),
    "noise": (noise, (0, 8, 16, 32, 64, 128, 256), "standard deviation, grey levels"),
    "saturation": (saturation, (0, 0.25, 0.5, 1, 2, 4, 16), "gain - 1"),
    "missing rows": (missing_rows, (0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), "share of rows"),
}
"""Each kind of damage with its strengths and what they mean."""


def _bytes(image: Float) -> Image:
    return np.asarray(np.clip(np.round(image), 0, 255), np.uint8)


def degrade(
    cases: Sequence[YardstickCase], predictor: Predictor, mean_curves: Float, *, seed: int = 5
) -> list[Step]:
    """Errors and intervals at every strength of every damage; the same people and noise at each."""
    floor = float(case_errors(cases, mean_curves[None])["sagittal_mae_mm"].mean())
    steps = []
    for kind, (damage, strengths, _) in DAMAGES.items():
        for strength in strengths:
            worse = [
                replace(c, image=damage(c.image, strength, np.random.default_rng([seed, i])))
                for i, c in enumerate(cases)
            ]
            found = case_errors(cases, *predict_cases(worse, predictor))
            figures = {k: float(v.mean()) for k, v in found.items() if k in Step.__dataclass_fields__}
            steps.append(Step(kind=kind, strength=strength, mean_curve_mae_mm=floor, **figures))
    return steps


def plot_steps(steps: Sequence[Step], out: Path) -> None:
    """Error, mean curve's error and half the 90 % interval against strength, one panel a damage."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            found="no package `matplotlib`", expected="a plotting package", do="Run: pip install matplotlib"
        ) from error
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    panels = figure.subplots(1, len(DAMAGES), sharey=True)
    for panel, (kind, (_, _, label)) in zip(panels, DAMAGES.items(), strict=True):
        part = [s for s in steps if s.kind == kind]
        x = range(len(part))
        panel.plot(x, [s.sagittal_mae_mm for s in part], "o-", label="sagittal error")
        panel.plot(x, [s.sagittal_interval90_mm / 2 for s in part], "s--", label="half the 90 % interval")
        panel.axhline(part[0].mean_curve_mae_mm, color="0.4", linestyle=":", label="mean curve's error")
        panel.set_xticks(x, [f"{s.strength:g}" for s in part])
        panel.set_title(kind)
        panel.set_xlabel(label)
        panel.set_ylim(bottom=0)
    panels[0].set_ylabel("mm")
    panels[0].legend(fontsize=8)
    figure.savefig(out, dpi=120)
