"""A spine in a pose: where each vertebra is, how it is turned, how large it is, and the true curves."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from spinelift.curves import Curve, zero_sagittal
from spinelift.geometry import SPINE_ROWS
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.physique import T1_L5_PER_STATURE, Physique
from spinelift.simulate.body.prior import N_LEVELS, N_STEPS, ShapePrior

Float = NDArray[np.float64]
SCOLIOSIS_DEG = 10.0
"""Modified Ferguson angle from which a spine counts as scoliotic (DXA scoliosis method)."""
SCOLIOSIS_SHARE = 0.2


@dataclass(frozen=True)
class PosedSpine:
    """Vertebral bodies T1 to L5 in mm, patient axes (x left, y posterior, z feet).

    Parameters
    ----------
    centres
        Centres of the bodies [17, 3].
    frames
        Axes of each vertebra as columns [17, 3, 3]: left, posterior, down.
    size
        Width (left-right), depth (front-back) and height of each body [17, 3].
    """

    centres: Float
    frames: Float
    size: Float

    @property
    def ends(self) -> tuple[Float, Float]:
        """Centres of T1's upper and L5's lower endplate, [3] each."""
        half = self.size[:, 2, None] / 2 * self.frames[:, :, 2]
        return self.centres[0] - half[0], self.centres[-1] + half[-1]

    def line_at(self, z_mm: Float | float, axis: int, *, sd_levels: float = 0.0) -> Float:
        """x (``axis`` 0) or y (1) of the line through the bodies' centres at heights z, mm.

        ``sd_levels`` smooths the centres over levels before (standard deviation).
        """
        values = self.centres[:, axis]
        values = gaussian_filter1d(values, sd_levels) if sd_levels else values
        return np.asarray(np.interp(z_mm, self.centres[:, 2], values))

    def moved(self, shift: Float) -> "PosedSpine":
        """The same spine shifted by [3] mm."""
        return replace(self, centres=self.centres + shift)

    def curves_mm(self) -> tuple[Float, Float]:
        """True heights z [209] and curves [6, 209] in mm, sagittal ones from the mean of the centre one.

        The centre line runs through the endplates' and bodies' centres. The outer curves bound the
        column of bodies and discs, as wide as a body on average over its height, cut at height z.
        """
        top, bottom = self.ends
        points = np.concatenate([top[None], self.centres, bottom[None]])
        z = np.linspace(top[2], bottom[2], SPINE_ROWS)
        xy = CubicSpline(points[:, 2], points[:, :2])(z)
        left, back, down = (self.frames[:, :, k] for k in range(3))
        half = self.size[:, :2] / 2 * (1 - 2 / 3 * morphometry.WAIST)
        reach = np.stack([np.hypot(half[:, 0] * left[:, k], half[:, 1] * back[:, k]) for k in (0, 1)], 1)
        reach /= np.abs(down[:, [2]])
        width = PchipInterpolator(self.centres[:, 2], reach, extrapolate=False)(
            np.clip(z, self.centres[0, 2], self.centres[-1, 2])
        )
        mm = np.empty((len(Curve), SPINE_ROWS))
        mm[Curve.CENTRE], mm[Curve.SAGITTAL] = xy[:, 0], xy[:, 1]
        mm[Curve.LEFT], mm[Curve.RIGHT] = xy[:, 0] + width[:, 0], xy[:, 0] - width[:, 0]
        mm[Curve.ANTERIOR], mm[Curve.POSTERIOR] = xy[:, 1] - width[:, 1], xy[:, 1] + width[:, 1]
        return z, np.asarray(zero_sagittal(mm), np.float64)


def frames_along(centres: Float, axial_deg: Float, tilt_noise: Float | None = None) -> Float:
    """Frames [17, 3, 3] of vertebrae whose axis follows the curve through ``centres`` [17, 3].

    ``axial_deg`` [17] turns each about its axis, positive when its front turns to the patient's left;
    ``tilt_noise`` [17, 3] is added to the unit tangents.
    """
    tangent = CubicSpline(np.arange(N_LEVELS), centres)(np.arange(N_LEVELS), 1)
    down = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
    if tilt_noise is not None:
        down = down + tilt_noise
        down /= np.linalg.norm(down, axis=1, keepdims=True)
    angle = np.radians(axial_deg)
    left = np.stack([np.cos(angle), np.sin(angle), np.zeros(N_LEVELS)], 1)
    left -= down * (left * down).sum(1, keepdims=True)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return np.stack([left, np.cross(down, left), down], 2)


def ferguson_deg(z: Float, x: Float) -> float:
    """Largest modified Ferguson angle of a centre line x(z), degrees; 0 for a straight one.

    Between inflections (or ends) the apex is the point farthest from the chord, and the angle is the one
    between the lines from the apex to the two end points (Taylor et al., Skeletal Radiol. 42 (2013),
    the DXA scoliosis method).
    """
    even = np.linspace(z[0], z[-1], 121)
    step = even[1] - even[0]
    odd = np.pad(
        np.interp(even, z, x), 20, mode="reflect", reflect_type="odd"
    )  # keeps the slopes of the ends
    smooth = gaussian_filter1d(odd, 5.0)[20:-20]
    bend = np.gradient(np.gradient(smooth, step), step)
    flips = np.flatnonzero(np.diff(np.sign(bend[6:-6]))) + 7
    bounds = np.unique(np.concatenate([[0], flips, [len(even) - 1]]))
    best = 0.0
    for a, b in pairwise(bounds):
        if even[b] - even[a] < 40:
            continue
        t = (even[a : b + 1] - even[a]) / (even[b] - even[a])
        off = smooth[a : b + 1] - (smooth[a] * (1 - t) + smooth[b] * t)
        k = int(np.argmax(np.abs(off))) + a
        if a < k < b:
            up = np.arctan2(smooth[k] - smooth[a], even[k] - even[a])
            down = np.arctan2(smooth[b] - smooth[k], even[b] - even[k])
            best = max(best, float(np.degrees(abs(up - down))))
    return best


def sample_shape(prior: ShapePrior, physique: Physique, rng: np.random.Generator) -> Float:
    """Centres [17, 3] of a random supine spine, mean at 0: one in five scoliotic, the rest below 10°."""
    features = prior.sample(rng, spread=rng.choice([0.8, 1.0, 1.2]))
    coronal, sagittal, length = np.split(features, 3)
    coronal = coronal - prior.mean[:N_STEPS]  # the mean of patients leans; a cohort's does not
    coronal *= rng.choice([-1.0, 1.0])
    scoliotic = rng.random() < SCOLIOSIS_SHARE
    if scoliotic:
        coronal = coronal + _scoliotic_tilt(rng)
    # Straighten the lean of the whole, then lay the person down a little askew.
    coronal = coronal - coronal.mean() + rng.normal(0, 1.5)
    sagittal[12:] += np.linspace(0, 1, 4) * rng.normal(0, 5)  # of lordosis, patients and normals differ
    sagittal = sagittal - sagittal.mean() + rng.normal(prior.mean[N_STEPS : 2 * N_STEPS].mean(), 2.6)
    length_scale = physique.height_mm * T1_L5_PER_STATURE / prior.step_mm.sum() * rng.normal(1, 0.025)

    def centres(amount: float) -> Float:
        lean = coronal.mean()
        return prior.centres(
            np.concatenate([lean + (coronal - lean) * amount, sagittal, length]), scale=length_scale
        )

    c = centres(1.0)
    if scoliotic:
        target = rng.uniform(SCOLIOSIS_DEG, SCOLIOSIS_DEG + 3)
        grow = 1.0
        while ferguson_deg(c[:, 2], c[:, 0]) < target and grow < 4:
            grow *= 1.15
            c = centres(grow)
    else:
        shrink = 1.0
        while ferguson_deg(c[:, 2], c[:, 0]) >= SCOLIOSIS_DEG:
            shrink *= 0.8
            c = centres(shrink)
    return c


def _scoliotic_tilt(rng: np.random.Generator) -> Float:
    """Coronal angles [16], degrees, of one structural curve or two opposite ones."""
    k = np.arange(N_STEPS)
    apex, length = rng.uniform(5, 14), rng.uniform(5, 9)
    size = rng.choice([-1, 1]) * rng.gamma(3.0, 3.5)
    tilt = size * (apex - k) / (length / 2) * np.exp(-0.5 * ((k - apex) / (length / 2)) ** 2) * 1.6
    if rng.random() < 0.45:
        other = apex + rng.choice([-1, 1]) * length * rng.uniform(0.9, 1.3)
        tilt -= (
            rng.uniform(0.5, 1.0) * size * (other - k) / (length / 2)
            * np.exp(-0.5 * ((k - other) / (length / 2)) ** 2) * 1.6
        )  # fmt: skip
    return np.asarray(tilt)


def pose(centres: Float, physique: Physique, rng: np.random.Generator) -> PosedSpine:
    """Vertebrae of random size and turn along given centres [17, 3].

    The axial turn follows the coronal bend: bodies turn towards the convexity, supine by 0.28 of the Cobb
    angle in the chest and 0.17 in the loin (means of Brink et al., Spine J. 17 (2017), 62 adolescents), with
    a wide scatter, on top of the normal pattern and a rotation of the whole trunk.
    """
    lean = np.degrees(np.arctan2(*np.gradient(centres, axis=0)[:, [0, 2]].T))
    bend = gaussian_filter1d(-np.gradient(lean), 1.0)  # degrees a level; positive when convex to the left
    axial = (
        bend * np.linspace(1.7, 1.0, N_LEVELS) * rng.normal(1, 0.5)
        + gaussian_filter1d(rng.normal(0, 2.0, N_LEVELS), 1.0) * 1.5
    )
    axial = np.clip(axial, -35, 35) + rng.normal(0, 2.5)
    # Bodies do not stand quite square to the line through their centres; least so L5, whose wedge adds to it.
    tilt = rng.normal(0, 0.022, (N_LEVELS, 3)) + 1.8 * gaussian_filter1d(
        rng.normal(0, 0.03, (N_LEVELS, 3)), 1.5, axis=0
    )
    tilt[-2:, 1] += rng.normal([0.015, 0.05], [0.015, 0.03])
    frames = frames_along(centres, axial, tilt)
    scale = physique.scale * morphometry.SEX_WIDTH[physique.female]

    def vary(size: Float) -> Float:
        person = rng.normal(1, morphometry.PERSON_SD)
        level = rng.normal(1, morphometry.LEVEL_SD, N_LEVELS)
        trend = 1 + rng.normal(0, 0.04) * np.linspace(-1, 1, N_LEVELS)
        return np.asarray(size * scale * person * level * trend)

    spacing = np.linalg.norm(np.gradient(centres, axis=0), axis=1)
    height = vary(morphometry.BODY_HEIGHT)
    height = np.clip(height, 0.62 * spacing, 0.9 * spacing)
    size = np.stack([vary(morphometry.BODY_WIDTH), vary(morphometry.BODY_DEPTH), height], 1)
    return PosedSpine(centres, frames, size)
