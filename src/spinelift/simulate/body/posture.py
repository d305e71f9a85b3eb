"""The same person on another day and another table: the spine bent a little, all else carried along.

Every vertebra moves rigidly. Between them the body follows a smooth field: at each height along the spine
a rotation and a shift, interpolated between vertebrae; pelvis and neck go with L5 and T1, legs and head lie
straight. Sizes, shapes and organs stay those of the person, because the solids themselves are moved.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from spinelift.geometry.arrays import Float
from spinelift.simulate.body.body import Body
from spinelift.simulate.body.prior import N_LEVELS, N_STEPS
from spinelift.simulate.body.skeleton import Joints
from spinelift.simulate.body.solids import Solid
from spinelift.simulate.body.spine import PosedSpine

MAX_TILT_DEG = 4.0
MAX_SHIFT_MM = 60.0
BENT_SHARE = 0.25
"""Share of people who lie so differently bent that many of them cannot be aligned rigidly."""

BENT_DEG = (5.0, 10.0)
"""Standard deviation of their steps' angles, degrees."""
SAMPLES = 256
"""Heights at which the field between vertebrae is tabulated."""
PELVIS_MM, STRAIGHT_BELOW_MM = 130.0, 380.0
"""Below L5: how far the pelvis turns with it, and from where legs lie straight."""
NECK_MM, STRAIGHT_ABOVE_MM = 50.0, 220.0
"""The same above T1."""
FIRST = 2
"""T1's knot."""


@dataclass(frozen=True)
class Posture:
    """How a person lies differently.

    ``bend_deg`` is the change of the coronal angle of each step T1-T2 to L4-L5 [16], positive when the lower
    end goes to the patient's left, mean 0; ``sway_deg`` that of the sagittal angle [16], positive to
    posterior. ``tilt_deg`` turns the whole person as ``bend_deg`` does, ``shift_mm`` [3] shifts the person.
    """

    bend_deg: Float
    sway_deg: Float
    tilt_deg: float
    shift_mm: Float


def sample_posture(rng: np.random.Generator, *, bent_share: float = BENT_SHARE) -> Posture:
    """A random change of posture; ``bent_share`` of them bend the spine several times as much."""
    bent = bool(rng.random() < bent_share)
    bend = _wave(rng) * (rng.uniform(*BENT_DEG) if bent else abs(rng.normal(0, 0.9)) + 0.3)
    sway = _wave(rng) * rng.normal(0, 3.0) + rng.normal(0, 1.5)
    tilt = float(np.clip(rng.normal(0, 1.6), -MAX_TILT_DEG, MAX_TILT_DEG))
    reach = np.array([MAX_SHIFT_MM, 40.0, 26.0])  # the first station starts at C5 to C7
    shift = np.clip(rng.normal(0, [22, 12, 14]), -reach, reach)
    return Posture(bend, sway, tilt, shift)


def sample_side_posture(rng: np.random.Generator) -> Posture:
    """A random change of posture from supine to lying on the side, hips and knees bent.

    The whole spine is turned in the sagittal plane by a few degrees (standard deviation 4), its curvature
    changes smoothly, and lordosis is less on average. ``shift_mm`` is where the spine lies in the view.
    """
    flexion = np.clip((np.arange(N_STEPS) - 10) / 5, 0, 1) * rng.normal(-5.0, 5.0)
    sway = _wave(rng) * rng.normal(0, 3.0) + flexion + rng.normal(0, 4.0)
    bend = _wave(rng) * (abs(rng.normal(0, 1.5)) + 0.3)
    tilt = float(np.clip(rng.normal(0, 1.6), -MAX_TILT_DEG, MAX_TILT_DEG))
    return Posture(bend, sway, tilt, np.clip(rng.normal(0, [0, 8, 12]), -30, 30))


def _wave(rng: np.random.Generator) -> Float:
    """A smooth random function over the steps [16] with mean 0 and standard deviation 1."""
    t = (np.arange(N_STEPS) + 0.5) / N_STEPS
    wave = np.asarray(sum(rng.normal() / j * np.cos(np.pi * j * t) for j in (1, 2, 3)))
    wave = wave - wave.mean()
    return np.asarray(wave / wave.std())


def turn(degrees: Float | float, axis: int) -> Float:
    """Matrices [..., 3, 3] that turn z towards ``axis`` (0: left, 1: posterior) by angles [...]."""
    a = np.radians(degrees)
    m = np.zeros((*np.shape(degrees), 3, 3))
    m[..., 1 - axis, 1 - axis] = 1.0
    m[..., axis, axis] = m[..., 2, 2] = np.cos(a)
    m[..., axis, 2], m[..., 2, axis] = np.sin(a), -np.sin(a)
    return m


@dataclass(frozen=True)
class Field:
    """A movement of space: at knots along the body turn by ``turns`` about ``old`` and put it at ``new``.

    Knots [21] are the vertebrae, and two places above and below them: beyond the pelvis and the neck the
    body lies straight again.
    """

    turns: Float
    old: Float
    new: Float

    def rigid(self, points: Float, level: int) -> Float:
        """Points [n, 3] moved as vertebra ``level`` moves."""
        k = level + FIRST
        return np.asarray(self.new[k] + (points - self.old[k]) @ self.turns[k].T)

    def smooth(self, points: Float) -> Float:
        """Points [n, 3] moved by the field interpolated over height."""
        top, bottom = self.old[[0, -1], 2]
        u = np.clip((points[:, 2] - top) / (bottom - top), 0, 1) * (SAMPLES - 1)
        k = np.minimum(u.astype(np.intp), SAMPLES - 2)
        w = (u - k)[:, None]
        turns, offset = self._table
        low = np.einsum("nij,nj->ni", turns[k], points) + offset[k]
        high = np.einsum("nij,nj->ni", turns[k + 1], points) + offset[k + 1]
        return np.asarray(low * (1 - w) + high * w)

    @cached_property
    def _table(self) -> tuple[Float, Float]:
        """Turns [SAMPLES, 3, 3] and offsets [SAMPLES, 3] at even heights."""
        z = self.old[:, 2]
        heights = np.linspace(z[0], z[-1], SAMPLES)
        turns = Slerp(z, Rotation.from_matrix(self.turns))(heights).as_matrix()
        turns = gaussian_filter1d(turns, 3.0, axis=0, mode="nearest")
        old, new = (CubicSpline(z, p)(heights) for p in (self.old, self.new))
        return turns, new - np.einsum("nij,nj->ni", turns, old)


def movement(spine: PosedSpine, posture: Posture) -> Field:
    """The field that takes a spine to its new posture; lengths along the spine are kept."""
    turns = turn(posture.bend_deg, 0) @ turn(posture.sway_deg, 1)
    at = np.clip(np.arange(N_LEVELS) - 0.5, 0, N_STEPS - 1)
    per_level = _between(turns, at)
    above = np.array([[0.0, 0.0, -STRAIGHT_ABOVE_MM], [0.0, 0.0, -NECK_MM]])
    below = np.array([[0.0, 0.0, PELVIS_MM], [0.0, 0.0, STRAIGHT_BELOW_MM]])
    old = np.concatenate([spine.centres[0] + above, spine.centres, spine.centres[-1] + below])
    still = np.eye(3)[None]
    knots = np.concatenate([still, per_level[:1], per_level, per_level[-1:], still])
    neck, pelvis = _between(knots[:2], 0.5), _between(knots[-2:], 0.5)
    steps = np.concatenate([[neck, knots[1]], turns, [knots[-2], pelvis]])
    path = np.einsum("nij,nj->ni", steps, np.diff(old, axis=0))
    new = np.concatenate([np.zeros((1, 3)), np.cumsum(path, 0)])
    new -= new[FIRST:-FIRST].mean(0)
    tilt = turn(posture.tilt_deg, 0)
    return Field(tilt @ knots, old, new @ tilt.T + spine.centres.mean(0) + posture.shift_mm)


def _between(turns: Float, at: Float | float) -> Float:
    """Rotations at fractional indices of rotations [n, 3, 3]."""
    return Slerp(np.arange(len(turns)), Rotation.from_matrix(turns))(at).as_matrix()


def repose(body: Body, posture: Posture) -> Body:
    """The same person in another posture."""
    field = movement(body.spine, posture)
    levels = slice(FIRST, FIRST + N_LEVELS)
    spine = replace(body.spine, centres=field.new[levels], frames=field.turns[levels] @ body.spine.frames)
    joints = {k: field.smooth(v.reshape(-1, 3)).reshape(v.shape) for k, v in vars(body.joints).items()}
    solids = tuple(replace(s, points=_moved(field, s)) for s in body.solids)
    return replace(body, spine=spine, joints=Joints(**joints), solids=solids)


def _moved(field: Field, solid: Solid) -> Float:
    kind, _, number = solid.name.partition("_")
    return field.rigid(solid.points, int(number)) if kind == "vertebra" else field.smooth(solid.points)
