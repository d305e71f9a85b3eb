"""The same person on another day and another table: the spine bent a little, all else carried along.

Every vertebra moves rigidly. Between them the body follows a smooth field: at each height along the spine
a rotation and a shift, interpolated between vertebrae and carried on below L5 and above T1. Sizes, shapes
and organs stay those of the person, because the solids themselves are moved.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from spinelift.simulate.body import Body
from spinelift.simulate.prior import N_LEVELS, N_STEPS
from spinelift.simulate.skeleton import Joints
from spinelift.simulate.solids import Solid
from spinelift.simulate.spine import PosedSpine

Float = NDArray[np.float64]
MAX_TILT_DEG = 4.0
MAX_SHIFT_MM = 60.0
BENT_SHARE = 0.25
"""Share of people who lie so differently bent that many of them cannot be aligned rigidly."""


@dataclass(frozen=True)
class Posture:
    """How a person lies differently.

    Parameters
    ----------
    bend_deg
        Change of the coronal angle of each step T1-T2 to L4-L5 [16], degrees, positive when the lower end
        goes to the patient's left; mean 0.
    sway_deg
        Change of the sagittal angle [16], positive when the lower end goes to posterior.
    tilt_deg
        Rotation of the whole person in the coronal plane, same sense as ``bend_deg``.
    shift_mm
        Shift of the whole person [3].
    """

    bend_deg: Float
    sway_deg: Float
    tilt_deg: float
    shift_mm: Float


def sample_posture(rng: np.random.Generator, *, bent_share: float = BENT_SHARE) -> Posture:
    """A random change of posture; ``bent_share`` of them bend the spine several times as much."""
    bent = bool(rng.random() < bent_share)
    bend = _wave(rng) * (rng.uniform(3.5, 7.0) if bent else abs(rng.normal(0, 0.9)) + 0.3)
    sway = _wave(rng) * rng.normal(0, 3.0) + rng.normal(0, 1.5)
    tilt = float(np.clip(rng.normal(0, 1.6), -MAX_TILT_DEG, MAX_TILT_DEG))
    shift = np.clip(rng.normal(0, [20, 12, 20]), -MAX_SHIFT_MM, MAX_SHIFT_MM)
    return Posture(bend, sway, tilt, shift)


def _wave(rng: np.random.Generator) -> Float:
    """A smooth random function over the steps [16] with mean 0 and standard deviation 1."""
    t = (np.arange(N_STEPS) + 0.5) / N_STEPS
    wave = sum(rng.normal() / j * np.cos(np.pi * j * t) for j in (1, 2, 3))
    wave = np.asarray(wave - np.mean(wave))
    return np.asarray(wave / wave.std())


def coronal_turn(degrees: Float | float) -> Float:
    """Matrices [..., 3, 3] that turn the feet's end to the patient's left."""
    a = np.radians(np.asarray(degrees, np.float64))
    return _turn(a, 0)


def _turn(a: Float, axis: int) -> Float:
    """Turn z towards ``axis`` (0: left, 1: posterior) by angles a [...] in radians."""
    m = np.zeros((*a.shape, 3, 3))
    m[..., 1 - axis, 1 - axis] = 1.0
    m[..., axis, axis] = m[..., 2, 2] = np.cos(a)
    m[..., axis, 2], m[..., 2, axis] = np.sin(a), -np.sin(a)
    return m


@dataclass(frozen=True)
class Field:
    """A movement of space: at spine height ``z`` [n] turn by ``turns`` about ``old`` and put it at ``new`` [n, 3]."""

    z: Float
    turns: Float
    old: Float
    new: Float

    def rigid(self, points: Float, knot: int) -> Float:
        """Points [n, 3] moved as vertebra ``knot`` moves."""
        return np.asarray(self.new[knot] + (points - self.old[knot]) @ self.turns[knot].T)

    def smooth(self, points: Float) -> Float:
        """Points [n, 3] moved by the interpolated field; beyond the ends by the last vertebra's movement."""
        z = np.clip(points[:, 2], self.z[0], self.z[-1])
        heights = np.linspace(self.z[0], self.z[-1], 128)
        turns = Slerp(self.z, Rotation.from_matrix(self.turns))(heights).as_matrix()
        turns = gaussian_filter1d(turns, 3.0, axis=0, mode="nearest")
        old, new = CubicSpline(self.z, self.old)(heights), CubicSpline(self.z, self.new)(heights)
        offset = new - np.einsum("nij,nj->ni", turns, old)
        u = (z - self.z[0]) / (self.z[-1] - self.z[0]) * (len(heights) - 1)
        k = np.minimum(u.astype(np.intp), len(heights) - 2)
        w = (u - k)[:, None]
        low = np.einsum("nij,nj->ni", turns[k], points) + offset[k]
        high = np.einsum("nij,nj->ni", turns[k + 1], points) + offset[k + 1]
        return np.asarray(low * (1 - w) + high * w)


def movement(spine: PosedSpine, posture: Posture) -> Field:
    """The field that takes a spine to its new posture; lengths along the spine are kept."""
    steps = np.diff(spine.centres, axis=0)
    turns = _turn(np.radians(posture.bend_deg), 0) @ _turn(np.radians(posture.sway_deg), 1)
    moved = np.einsum("nij,nj->ni", turns, steps)
    new = np.concatenate([np.zeros((1, 3)), np.cumsum(moved, 0)])
    middle = spine.centres.mean(0)
    tilt = coronal_turn(posture.tilt_deg)
    new = (new - new.mean(0)) @ tilt.T + middle + posture.shift_mm
    knots = np.arange(N_LEVELS)
    at = np.clip(knots - 0.5, 0, N_STEPS - 1)
    per_level = Slerp(np.arange(N_STEPS), Rotation.from_matrix(turns))(at).as_matrix()
    return Field(spine.centres[:, 2], tilt @ per_level, spine.centres, new)


def repose(body: Body, posture: Posture) -> Body:
    """The same person in another posture."""
    field = movement(body.spine, posture)
    spine = replace(body.spine, centres=field.new, frames=field.turns @ body.spine.frames)
    joints = Joints(**{k: _moved(field, v) for k, v in vars(body.joints).items()})
    solids = tuple(replace(s, points=_move(field, s)) for s in body.solids)
    return replace(body, spine=spine, joints=joints, solids=solids)


def _move(field: Field, solid: Solid) -> Float:
    kind, _, number = solid.name.partition("_")
    if kind == "vertebra":
        return field.rigid(solid.points, int(number))
    return field.smooth(solid.points)


def _moved(field: Field, points: Float) -> Float:
    return field.smooth(points.reshape(-1, 3)).reshape(points.shape)
