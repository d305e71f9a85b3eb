"""Shapes of spines: probabilistic PCA over the directions and lengths of the 16 steps from T1 to L5.

A spine is described by, for each step from one vertebral body's centre to the next, the coronal angle
atan(dx / dz), the sagittal angle atan(dy / dz) (both in degrees) and 100 ln(length / mean length): 48
numbers that do not depend on where the patient lay, so that spines with missing ends need no translation
to be solved for. The model is fitted by expectation maximisation with missing data (Tipping & Bishop,
"Probabilistic principal component analysis", J. R. Stat. Soc. B 61 (1999), 611-622, section 3.3 and
appendix B; missing entries are left out of each person's likelihood).

The shipped parameters are fitted to vertebral-body centres of the ImFusion VID dataset (Bürgin, Prevost,
Stollenga, "Robust vertebra identification using simultaneous node and edge predicting graph neural
networks"; CC BY-SA 4.0), without its complete T1-L5 spines, which stay unseen for evaluation, and without
CT colonographies: half of those lie prone, and as they see T9 to L5 alone but outnumber the others five to
one, they drew the middle of the thorax 4 to 5 degrees away from all spines that show it.
"""

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from spinelift.errors import ConfigError
from spinelift.files import write_json
from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float

N_LEVELS = len(Vertebra)
N_STEPS = N_LEVELS - 1
PARAMETERS = "shape_prior.json"
PRONE = "COLONOG"
"""Source of spines, in the column ``source``, that lie prone as often as supine."""


@dataclass(frozen=True)
class ShapePrior:
    """Gaussian model of spine shape.

    Parameters
    ----------
    mean
        Mean features [48]: 16 coronal angles, 16 sagittal angles (degrees), 16 values of 100 ln length ratio.
    modes
        Principal directions times their standard deviation [48, q].
    noise
        Standard deviation of what the modes do not explain.
    step_mm
        Mean length of each step [16], mm, of a person of scale 1.
    """

    mean: Float
    modes: Float
    noise: float
    step_mm: Float

    @classmethod
    @cache
    def load(cls, path: Path | None = None) -> "ShapePrior":
        """The shipped prior, or one written by ``spinelift simulate fit-prior``; read once a process."""
        file = path or resources.files("spinelift.simulate.body") / PARAMETERS
        values = json.loads(file.read_text(encoding="utf-8"))
        mean, modes, step_mm = (np.array(values[name]) for name in ("mean", "modes", "step_mm"))
        return cls(mean, modes, float(values["noise"]), step_mm)

    def sample(self, rng: np.random.Generator, *, spread: float = 1.0) -> Float:
        """Features [48] of a random spine; ``spread`` multiplies the standard deviations."""
        modes = self.modes @ rng.normal(size=self.modes.shape[1])
        noise = rng.normal(size=self.mean.shape) * self.noise * 0.5  # half of it is marking error
        return self.mean + spread * (modes + noise)

    def distance(self, features: Float) -> float:
        """Mahalanobis distance of features [48], per degree of freedom: 1 is typical, 2 is rare."""
        d = features - self.mean
        covariance = self.modes @ self.modes.T + self.noise**2 * np.eye(len(d))
        return float(np.sqrt(d @ np.linalg.solve(covariance, d) / len(d)))

    def centres(self, features: Float, *, scale: float = 1.0) -> Float:
        """Features [48] → vertebral-body centres [17, 3] in mm (x left, y posterior, z feet), mean at 0."""
        coronal, sagittal, length = np.split(np.asarray(features, np.float64), 3)
        step = np.stack([np.tan(np.radians(coronal)), np.tan(np.radians(sagittal)), np.ones(N_STEPS)], 1)
        step /= np.linalg.norm(step, axis=1, keepdims=True)
        step *= (self.step_mm * np.exp(length / 100) * scale)[:, None]
        out = np.concatenate([np.zeros((1, 3)), np.cumsum(step, 0)])
        return np.asarray(out - out.mean(0))


def features_of(centres: Float, step_mm: Float) -> Float:
    """Centres [17, 3] in mm (z to the feet; NaN where unseen) → features [48], lengths scaled to mean 0."""
    d = np.diff(centres, axis=0)
    length = np.linalg.norm(d, axis=1)
    ratio = 100 * np.log(length / step_mm)
    coronal, sagittal = (np.degrees(np.arctan2(d[:, axis], d[:, 2])) for axis in (0, 1))
    return np.concatenate([coronal, sagittal, ratio - np.nanmean(ratio)])


def read_centres(table: Path, *, leave_out: tuple[str, ...] = ()) -> dict[str, Float]:
    """CSV of ``spine_id, level, x_mm, y_mm, z_mm`` (LPS, z to the head) → centres [17, 3], z to the feet.

    Rows whose ``source`` is one of ``leave_out`` are passed over.
    """
    spines: dict[str, Float] = defaultdict(lambda: np.full((N_LEVELS, 3), np.nan))
    try:
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["level"] in Vertebra.__members__ and row.get("source") not in leave_out:
                    xyz = (float(row["x_mm"]), float(row["y_mm"]), -float(row["z_mm"]))
                    spines[row["spine_id"]][Vertebra[row["level"]]] = xyz
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            found=f"the table {table.name}, which cannot be used ({error!r})",
            expected="a CSV with the columns spine_id, level, x_mm, y_mm, z_mm",
            do="Check the file.",
        ) from error
    return dict(spines)


def usable(centres: Float, step_mm: Float) -> bool:
    """Whether a spine has at least six levels without a gap, and no step far from its usual length."""
    seen = np.flatnonzero(np.isfinite(centres).all(1))
    if len(seen) < 6 or np.any(np.diff(seen) != 1):
        return False
    length = np.linalg.norm(np.diff(centres[seen], axis=0), axis=1)
    usual = step_mm[seen[:-1]]
    scale = length.sum() / usual.sum()
    return bool(0.75 < scale < 1.3 and np.all(np.abs(length / (usual * scale) - 1) <= 0.35))


def fit(features: Float, step_mm: Float, *, modes_per_kind: int = 5, iterations: int = 200) -> ShapePrior:
    """EM for probabilistic PCA with missing data; features [n, 48] with NaN where unseen."""
    n, dims = features.shape
    t = np.linspace(0, 1, N_STEPS)
    waves = [np.cos(np.pi * j * t) * 5 / (1 + j) for j in range(modes_per_kind)]
    w = np.concatenate([np.kron(np.eye(3)[:, [k]], np.array(waves).T) for k in range(3)], axis=1)
    q = w.shape[1]
    mu, variance = np.nanmean(features, 0), 4.0
    patterns: dict[bytes, list[int]] = defaultdict(list)
    seen = np.isfinite(features)
    for i in range(n):
        patterns[seen[i].tobytes()].append(i)
    for _ in range(iterations):
        num, den = np.zeros((dims, q + 1)), np.zeros((dims, q + 1, q + 1))
        residual, count = 0.0, 0
        for rows in patterns.values():
            o = seen[rows[0]]
            y, b = features[rows][:, o], w[o]
            inverse = np.linalg.inv(np.eye(q) + b.T @ b / variance)
            z = (y - mu[o]) @ b @ inverse / variance
            h = np.concatenate([z, np.ones((len(rows), 1))], 1)
            second = h.T @ h
            second[:q, :q] += len(rows) * inverse
            num[o] += y.T @ h
            den[o] += second
            r = y - mu[o] - z @ b.T
            residual += float((r**2).sum() + len(rows) * np.trace(b @ inverse @ b.T))
            count += r.size
        ridge = np.diag([1.0] * q + [1e-6])
        solution = np.linalg.solve(den + ridge, num[..., None])[..., 0]
        w, mu, variance = solution[:, :q], solution[:, q], residual / count
    u, s, _ = np.linalg.svd(w, full_matrices=False)
    return ShapePrior(mu, u * s, float(np.sqrt(variance)), step_mm)


def fit_table(table: Path, out: Path, *, keep_complete: bool = False) -> tuple[ShapePrior, int]:
    """Fit the prior to a table of centres and write it as JSON; returns it and the number of spines used.

    Spines of the source ``PRONE`` are left out, and complete T1-L5 spines unless ``keep_complete``, so that
    they can serve for evaluation.
    """
    spines = read_centres(table, leave_out=(PRONE,))
    steps = np.array([np.linalg.norm(np.diff(c, axis=0), axis=1) for c in spines.values()])
    step_mm = np.nanmedian(steps, 0)
    rows = [
        features_of(c, step_mm)
        for c in spines.values()
        if usable(c, step_mm) and (keep_complete or not np.isfinite(c).all())
    ]
    prior = fit(np.array(rows), step_mm)
    document = {
        "source": "ImFusion VID vertebra-identification dataset, CC BY-SA 4.0 (Bürgin, Prevost, Stollenga)",
        "fitted_to": f"{len(rows)} spines; left out: CT colonographies"
        + ("" if keep_complete else ", complete T1-L5 spines"),
        "features": "16 coronal, 16 sagittal angles (degrees, T1-T2 first), 16 of 100 ln(length / step_mm)",
        "mean": prior.mean.round(4).tolist(),
        "modes": prior.modes.round(4).tolist(),
        "noise": round(prior.noise, 4),
        "step_mm": prior.step_mm.round(3).tolist(),
    }
    write_json(out, document)
    return prior, len(rows)
