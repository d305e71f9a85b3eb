"""Baselines that a model must beat, fitted to the same training people; curves in crop px [n, 6, 209]."""

from dataclasses import dataclass

import numpy as np

from spinelift.curves import CORONAL, SAGITTAL
from spinelift.geometry import CROP_SIZE, SPINE_ROWS
from spinelift.geometry.arrays import AnyFloat, Float, UInt8


@dataclass(frozen=True)
class MeanCurve:
    """The mean of the training curves for every image."""

    mean: Float

    @classmethod
    def fit(cls, curves: AnyFloat) -> "MeanCurve":
        """From training curves [n, 6, 209]."""
        return cls(curves.mean(0, dtype=np.float64))

    def predict(self, n: int) -> Float:
        """Curves [n, 6, 209]."""
        return np.broadcast_to(self.mean, (n, *self.mean.shape)).copy()


@dataclass(frozen=True)
class ConditionedShape:
    """A Gaussian over whole spines, conditioned on the true coronal curves: shape without an image.

    With principal scores c of the coronal and all sagittal points s, E[s | c] = μ + Σ_sc Σ_cc⁻¹ c
    (Bishop 2006, section 2.3.1); the scores hold 99.9 % of the coronal variance.
    """

    mean: Float
    axes: Float
    slope: Float

    @classmethod
    def fit(cls, curves: AnyFloat) -> "ConditionedShape":
        """From training curves [n, 6, 209]."""
        data = np.asarray(curves, np.float64)
        mean = data.mean(0)
        coronal = (data - mean)[:, CORONAL].reshape(len(data), -1)
        sagittal = (data - mean)[:, SAGITTAL].reshape(len(data), -1)
        _, sizes, axes = np.linalg.svd(coronal, full_matrices=False)
        share = np.cumsum(sizes**2) / max(float((sizes**2).sum()), 1e-12)
        k = min(int(np.searchsorted(share, 0.999)) + 1, max(1, len(data) // 10))
        scores = coronal @ axes[:k].T
        ridge = 1e-6 * np.trace(scores.T @ scores) + 1e-9
        slope = np.linalg.solve(scores.T @ scores + ridge * np.eye(k), scores.T @ sagittal)
        return cls(mean, axes[:k], slope)

    def predict(self, true_curves: AnyFloat) -> Float:
        """Curves for true curves [n, 6, 209], of which only the coronal ones are used and kept."""
        out = np.asarray(true_curves, np.float64).copy()
        away = (out - self.mean)[:, CORONAL].reshape(len(out), -1)
        sagittal = (away @ self.axes.T @ self.slope).reshape(len(out), 3, SPINE_ROWS)
        out[:, SAGITTAL] = self.mean[SAGITTAL] + sagittal
        return out


@dataclass(frozen=True)
class RidgeImage:
    """Ridge regression of the curves on the image, averaged down to 28 × 28 pixels and standardised."""

    mean: Float
    pixels: Float
    slope: Float

    @classmethod
    def fit(cls, image: UInt8, curves: AnyFloat) -> "RidgeImage":
        """From crops [n, 224, 224] and curves; the penalty is the best one on the last tenth of them."""
        x, y = small_images(image), np.asarray(curves, np.float64).reshape(len(curves), -1)
        cut = max(1, len(x) - max(1, len(x) // 10))
        errors = {}
        for penalty in 10.0 ** np.arange(0, 6):
            model = cls._solve(x[:cut], y[:cut], penalty)
            errors[penalty] = np.abs(model._apply(x[cut:]) - y[cut:]).mean()
        return cls._solve(x, y, min(errors, key=errors.__getitem__))

    @classmethod
    def _solve(cls, x: Float, y: Float, penalty: float) -> "RidgeImage":
        pixels, mean = x.mean(0), y.mean(0)
        a = x - pixels
        slope = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ (y - mean))
        return cls(mean, pixels, slope)

    def _apply(self, x: Float) -> Float:
        return (x - self.pixels) @ self.slope + self.mean

    def predict(self, image: UInt8) -> Float:
        """Curves for crops [n, 224, 224]."""
        return self._apply(small_images(image)).reshape(-1, 6, SPINE_ROWS)


def small_images(image: UInt8, *, cells: int = 28) -> Float:
    """Block means [n, cells²] of images, each standardised to mean 0 and variance 1."""
    step = CROP_SIZE // cells
    small = image.reshape(len(image), cells, step, cells, step).mean((2, 4)).reshape(len(image), -1)
    out: Float = (small - small.mean(1, keepdims=True)) / (small.std(1, keepdims=True) + 1e-6)
    return out
