"""A spine in a pose: where each vertebra is, how it is turned, how large it is, and the true curves."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from spinelift.curves import Curve, zero_sagittal
from spinelift.geometry import SPINE_ROWS, Vertebra
from spinelift.geometry.arrays import Float
from spinelift.measures import SCOLIOSIS_DEG, coronal_angles
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.physique import T1_L5_PER_STATURE, Physique
from spinelift.simulate.body.prior import N_LEVELS, N_STEPS, ShapePrior

SCOLIOSIS_SHARE = 0.2
"""Share of people whose modified Ferguson angle is ``SCOLIOSIS_DEG`` or more."""
MARGIN_DEG = 3.0
"""A person's angle is at least a random share of this away from ``SCOLIOSIS_DEG``, degrees."""
KYPHOSIS_DEG_PER_YEAR, MEAN_AGE = 0.3, 63.0
"""Growth of kyphosis with age, about 3° a decade after 40 (Fon et al., AJR 134 (1980) 979-983), and the age
to which the prior's kyphosis belongs. At ages of 63 ± 9 years it makes a correlation of about 0.3."""
STEEPEST_DEG = 45.0
"""Largest coronal angle of a step from one body to the next, degrees: that of a Cobb angle of 90."""
LORDOSIS_DEG, LORDOSIS_SD_DEG = 34.0, 16.0
"""Mean and standard deviation of `PosedSpine.lordosis_deg` in simulated people."""
FORWARD_DEG: Float = np.interp(np.arange(N_LEVELS), [Vertebra.T9, Vertebra.L1], [0.0, 3.3])
"""By how much the endplates of real vertebrae stand forward of the tangent of the centre line [17]. Means
of real people: 0 in the thorax, 3.3 in the lumbar spine; linear from T9 to L1."""
FORWARD_PERSON_DEG = 1.5
"""Standard deviation of that angle between people, common to all levels."""


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

    @property
    def descends(self) -> bool:
        """Whether T1's upper endplate, the bodies' centres and L5's lower endplate follow each other down."""
        (_, _, top), (_, _, bottom) = self.ends
        return bool((np.diff([top, *self.centres[:, 2], bottom]) > 0).all())

    def line_at(self, z_mm: Float | float, axis: int, *, sd_levels: float = 0.0) -> Float:
        """x (``axis`` 0) or y (1) of the line through the bodies' centres at heights z, mm.

        ``sd_levels`` smooths the centres over levels before (standard deviation).
        """
        values = self.centres[:, axis]
        values = gaussian_filter1d(values, sd_levels) if sd_levels else values
        return np.asarray(np.interp(z_mm, self.centres[:, 2], values))

    def at_level(self, level: float) -> Float:
        """Point [3] of the line through the bodies' centres at a fractional level, 0 (T1) to 16 (L5)."""
        return np.array([np.interp(level, np.arange(N_LEVELS), self.centres[:, c]) for c in range(3)])

    def moved(self, shift: Float) -> "PosedSpine":
        """The same spine shifted by [3] mm."""
        return replace(self, centres=self.centres + shift)

    @property
    def ferguson_deg(self) -> float:
        """Modified Ferguson angle of the true centre line, degrees."""
        z, mm = self.curves_mm()
        return coronal_angles(z, mm[Curve.CENTRE]).ferguson_deg

    @property
    def lordosis_deg(self) -> float:
        """Angle in the side view between the axes of L1 and L5, degrees; positive for lordosis."""
        l1, l5 = inclination_deg(self.frames[[Vertebra.L1, Vertebra.L5]])
        return float(l5 - l1)

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
        levels = self.centres[:, 2]
        width = PchipInterpolator(levels, reach)(np.clip(z, levels[0], levels[-1]))
        mm = np.empty((len(Curve), SPINE_ROWS))
        mm[Curve.CENTRE], mm[Curve.SAGITTAL] = xy[:, 0], xy[:, 1]
        mm[Curve.LEFT], mm[Curve.RIGHT] = xy[:, 0] + width[:, 0], xy[:, 0] - width[:, 0]
        mm[Curve.ANTERIOR], mm[Curve.POSTERIOR] = xy[:, 1] - width[:, 1], xy[:, 1] + width[:, 1]
        return z, np.asarray(zero_sagittal(mm), np.float64)


def inclination_deg(frames: Float) -> Float:
    """Sagittal inclination of frames [..., 3, 3], degrees, positive when the lower end lies further back."""
    return np.asarray(np.degrees(np.arctan2(frames[..., 1, 2], frames[..., 2, 2])))


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
    return frames_of(left, down)


def frames_of(left: Float, down: Float) -> Float:
    """Frames [n, 3, 3] pointing down along unit vectors ``down`` [n, 3] and about to ``left`` [n, 3]."""
    left = left - down * (left * down).sum(1, keepdims=True)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return np.stack([left, np.cross(down, left), down], 2)


def along_line(spine: PosedSpine) -> Float:
    """Frames [17, 3, 3] of a spine turned to the tangents of the curve through its centres."""
    down = frames_along(spine.centres, np.zeros(N_LEVELS))[:, :, 2]
    return frames_of(spine.frames[:, :, 0], down)


def sample_spine(prior: ShapePrior, physique: Physique, rng: np.random.Generator) -> PosedSpine:
    """A random supine spine, mean centre at 0: one in five is scoliotic.

    The modified Ferguson angle of the true centre line decides: the structural curves of the scoliotic
    grow, and the coronal shape of the others shrinks, until the angle is on its side of ``SCOLIOSIS_DEG``.
    A spine that turns upwards somewhere is drawn again.
    """
    features = prior.sample(rng, spread=rng.choice([0.8, 1.0, 1.2]))
    coronal, sagittal, length = np.split(features, 3)
    coronal = coronal - prior.mean[:N_STEPS]  # patients are inclined to one side on average, a cohort is not
    coronal *= rng.choice([-1.0, 1.0])
    scoliotic = rng.random() < SCOLIOSIS_SHARE
    structural = _scoliotic_tilt(rng) if scoliotic else np.zeros(N_STEPS)
    coronal, structural = coronal - coronal.mean(), structural - structural.mean()
    askew = rng.normal(0, 1.5)  # inclination of the whole spine to one side, degrees
    sagittal[12:] += np.linspace(0, 1, 4) * rng.normal(0, 5)  # of lordosis, patients and normals differ
    older = KYPHOSIS_DEG_PER_YEAR * (physique.age - MEAN_AGE)
    sagittal += older * np.interp(np.arange(N_STEPS), [3, 11], [0.5, -0.5])  # T4-T12
    sagittal = sagittal - sagittal.mean() + rng.normal(prior.mean[N_STEPS : 2 * N_STEPS].mean(), 2.6)
    scale = physique.height_mm * T1_L5_PER_STATURE / prior.step_mm.sum() * rng.normal(1, 0.025)
    limit = SCOLIOSIS_DEG + rng.uniform(0, MARGIN_DEG) * (1 if scoliotic else -1)
    pose_seed = int(rng.integers(2**63))  # the same vertebrae, however large the curves

    def posed() -> PosedSpine:
        steps = np.clip(askew + coronal + structural, -STEEPEST_DEG, STEEPEST_DEG)
        shape = np.concatenate([steps, sagittal, length])
        return pose(prior.centres(shape, scale=scale), physique, np.random.default_rng(pose_seed))

    spine = posed()
    while spine.descends and (spine.ferguson_deg < limit) == scoliotic:
        structural *= 1.2 if scoliotic else 1.0
        coronal *= 1.0 if scoliotic else 0.8
        spine = posed()
    return spine if spine.descends else sample_spine(prior, physique, rng)


def _scoliotic_tilt(rng: np.random.Generator) -> Float:
    """Coronal angles [16], degrees, of one structural curve or two opposite ones."""
    k = np.arange(N_STEPS)
    apex, length = rng.uniform(5, 14), rng.uniform(5, 9)
    size = rng.choice([-1, 1]) * rng.gamma(3.0, 3.5)

    def curve(apex: float, size: float) -> Float:
        bell = np.exp(-0.5 * ((k - apex) / (length / 2)) ** 2)
        return np.asarray(size * (apex - k) / (length / 2) * bell * 1.6)

    tilt = curve(apex, size)
    if rng.random() < 0.45:
        other = apex + rng.choice([-1, 1]) * length * rng.uniform(0.9, 1.3)
        tilt -= curve(other, rng.uniform(0.5, 1.0) * size)
    return tilt


def pose(centres: Float, physique: Physique, rng: np.random.Generator) -> PosedSpine:
    """Vertebrae of random size and turn along given centres [17, 3].

    The axial turn follows the coronal bend: bodies turn towards the convexity, supine by 0.28 of the Cobb
    angle in the thorax and 0.17 in the lumbar spine (means of Brink et al., Spine J. 17 (2017), 62
    adolescents), with a wide scatter, on top of the normal pattern and a rotation of the whole trunk.
    """
    tilt = np.degrees(np.arctan2(*np.gradient(centres, axis=0)[:, [0, 2]].T))
    bend = gaussian_filter1d(-np.gradient(tilt), 1.0)  # degrees a level; positive when convex to the left
    axial = bend * np.linspace(1.7, 1.0, N_LEVELS) * rng.normal(1, 0.5)
    axial += gaussian_filter1d(rng.normal(0, 2.0, N_LEVELS), 1.0) * 1.5
    axial = np.clip(axial, -35, 35) + rng.normal(0, 2.5)
    frames = frames_along(centres, axial, _sample_tilt(rng))
    scale = physique.scale * morphometry.SEX_WIDTH[physique.female]

    def vary(size: Float) -> Float:
        person = rng.normal(1, morphometry.PERSON_SD)
        level = rng.normal(1, morphometry.LEVEL_SD, N_LEVELS)
        trend = 1 + rng.normal(0, 0.04) * np.linspace(-1, 1, N_LEVELS)
        return np.asarray(size * scale * person * level * trend)

    spacing = np.linalg.norm(np.gradient(centres, axis=0), axis=1)
    height = np.clip(vary(morphometry.BODY_HEIGHT), 0.62 * spacing, 0.9 * spacing)
    size = np.stack([vary(morphometry.BODY_WIDTH), vary(morphometry.BODY_DEPTH), height], 1)
    return PosedSpine(centres, frames, size)


def _sample_tilt(rng: np.random.Generator) -> Float:
    """Tilt [17, 3] of the bodies against the line through their centres, as tangents.

    An axis that points down and is turned forward above points to the back below.
    """
    tilt = rng.normal(0, 0.022, (N_LEVELS, 3))
    tilt += 1.8 * gaussian_filter1d(rng.normal(0, 0.03, (N_LEVELS, 3)), 1.5, axis=0)
    tilt[-2:, 1] += rng.normal(0, [0.015, 0.03])
    tilt[:, 1] += np.tan(np.radians(FORWARD_DEG + rng.normal(0, FORWARD_PERSON_DEG)))
    return tilt


def with_sagittal_curve(spine: PosedSpine, other: PosedSpine, rng: np.random.Generator) -> PosedSpine:
    """``spine`` with the sagittal curve of ``other``.

    Heights, coronal curve, axial turn and sizes stay. The other curve is stretched to the height of the
    spine, which keeps its angles, and has the same mean. The bodies' tilt against the curve is drawn anew.
    """
    own, new = spine.centres, spine.centres.copy()
    z = other.centres[:, 2]
    stretch = (own[-1, 2] - own[0, 2]) / (z[-1] - z[0])
    y = CubicSpline((z - z[0]) * stretch + own[0, 2], other.centres[:, 1] * stretch)(own[:, 2])
    new[:, 1] = y - y.mean() + own[:, 1].mean()
    left, down = spine.frames[:, :, 0], spine.frames[:, :, 2]
    lateral = left - down * (left[:, 2:] / down[:, 2:])  # horizontal, as in `frames_along`
    axial = np.degrees(np.arctan2(lateral[:, 1], lateral[:, 0]))
    return PosedSpine(new, frames_along(new, axial, _sample_tilt(rng)), spine.size)
