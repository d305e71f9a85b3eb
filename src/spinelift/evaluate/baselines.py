"""Baselines that a model must beat, fitted to the same training people; curves in crop px [n, 6, 209]."""

import numpy as np

from spinelift.curves import CORONAL, SAGITTAL
from spinelift.geometry import CROP_SIZE, SPINE_ROWS
from spinelift.geometry.arrays import AnyFloat, Float, UInt8


def mean_curve(train: AnyFloat, n: int) -> Float:
    """The mean of the training curves for each of n images."""
    return np.repeat(train.mean(0, dtype=np.float64)[None], n, 0)


def conditioned_shape(train: AnyFloat, coronal_of: AnyFloat) -> Float:
    """A Gaussian over whole spines, conditioned on coronal curves: shape without an image.

    With principal scores c of the coronal and all sagittal points s, E[s | c] = μ + Σ_sc Σ_cc⁻¹ c
    (Bishop 2006, section 2.3.1); the scores hold 99.9 % of the coronal variance. Of
    ``coronal_of`` only the coronal curves are used, the true ones or predicted ones; they are kept.
    """
    n, mean = len(train), train.mean(0, dtype=np.float64)
    coronal = (train - mean)[:, CORONAL].reshape(n, -1)
    _, sizes, axes = np.linalg.svd(coronal, full_matrices=False)
    share = np.cumsum(sizes**2) / max(float((sizes**2).sum()), 1e-12)
    axes = axes[: min(int(np.searchsorted(share, 0.999)) + 1, max(1, n // 10))]
    scores = coronal @ axes.T
    ridge = 1e-6 * np.trace(scores.T @ scores) + 1e-9
    covariance = scores.T @ (train - mean)[:, SAGITTAL].reshape(n, -1)
    slope = np.linalg.solve(scores.T @ scores + ridge * np.eye(len(axes)), covariance)
    out = coronal_of.astype(np.float64)
    away = (out - mean)[:, CORONAL].reshape(len(out), -1)
    out[:, SAGITTAL] = mean[SAGITTAL] + (away @ axes.T @ slope).reshape(len(out), 3, SPINE_ROWS)
    return out


def ridge_on_image(image: UInt8, curves: AnyFloat, test: UInt8) -> Float:
    """Ridge regression of the curves on the image, averaged down to 28 × 28 pixels and standardised.

    From training crops [m, 224, 224] and their curves; the penalty is the best one on the last tenth of them.
    Returns curves for the crops ``test`` [n, 224, 224].
    """
    x, y = small_images(image), curves.astype(np.float64).reshape(len(curves), -1)
    cut = max(1, len(x) - max(1, len(x) // 10))
    errors = {
        penalty: np.abs(_ridge(x[:cut], y[:cut], penalty, x[cut:]) - y[cut:]).mean()
        for penalty in 10.0 ** np.arange(0, 6)
    }
    best = min(errors, key=errors.__getitem__)
    return _ridge(x, y, best, small_images(test)).reshape(-1, 6, SPINE_ROWS)


def _ridge(x: Float, y: Float, penalty: float, new: Float) -> Float:
    pixels, mean = x.mean(0), y.mean(0)
    a = x - pixels
    slope = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ (y - mean))
    out: Float = (new - pixels) @ slope + mean
    return out


def small_images(image: UInt8, *, cells: int = 28) -> Float:
    """Block means [n, cells²] of images, each standardised to mean 0 and variance 1."""
    step = CROP_SIZE // cells
    small = image.reshape(len(image), cells, step, cells, step).mean((2, 4)).reshape(len(image), -1)
    out: Float = (small - small.mean(1, keepdims=True)) / (small.std(1, keepdims=True) + 1e-6)
    return out
