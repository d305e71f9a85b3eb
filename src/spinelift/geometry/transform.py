"""Rigid transforms of the coronal plane between named coordinate systems."""

import math
from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.geometry.grid import PixelGrid


@dataclass(frozen=True)
class RigidTransform2D:
    """Points of ``source`` in the coordinates of ``target``: ``turn @ p + shift``.

    Parameters
    ----------
    rotation_deg
        Positive when it turns the feet's end (z) to the patient's left (x):
        ``turn = [[cos, sin], [-sin, cos]]`` on (x, z).
    shift_mm
        (x, z), applied after the rotation about the origin.
    source, target
        Names of the two coordinate systems, such as ``mri`` and ``dxa``.
    """

    rotation_deg: float
    shift_mm: tuple[float, float]
    source: str
    target: str

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.rotation_deg, *self.shift_mm)):
            raise ValueError(f"a transform must be finite, not {self}")

    @classmethod
    def identity(cls, source: str, target: str) -> "RigidTransform2D":
        """The same coordinates in both."""
        return cls(0.0, (0.0, 0.0), source, target)

    @classmethod
    def about(
        cls, centre_mm: Float, rotation_deg: float, shift_mm: Float, *, source: str, target: str
    ) -> "RigidTransform2D":
        """Rotation about a point (x, z) of the source, then a shift."""
        centre = np.asarray(centre_mm, np.float64)
        x, z = centre + shift_mm - _turn(rotation_deg) @ centre
        return cls(float(rotation_deg), (float(x), float(z)), source, target)

    @classmethod
    def fit(
        cls, points: Float, onto: Float, weight: Float | None = None, *, source: str, target: str
    ) -> "RigidTransform2D":
        """Weighted least squares from points [n, 2] (x, z) to points [n, 2]; no scaling.

        In closed form (Kabsch 1976, doi:10.1107/S0567739476001873; in the plane one arctangent).
        """
        w = np.ones(len(points)) if weight is None else weight
        w = (w / w.sum())[:, None]
        a0, b0 = (w * points).sum(0), (w * onto).sum(0)
        a, b = points - a0, onto - b0
        sine = (w[:, 0] * (a[:, 1] * b[:, 0] - a[:, 0] * b[:, 1])).sum()
        angle = math.degrees(math.atan2(sine, (w * a * b).sum()))
        return cls.about(a0, angle, b0 - a0, source=source, target=target)

    @property
    def turn(self) -> Float:
        """Rotation matrix [2, 2] on (x, z)."""
        return _turn(self.rotation_deg)

    def apply(self, xz_mm: Float) -> Float:
        """Points [..., 2] of the source in target coordinates."""
        return xz_mm @ self.turn.T + self.shift_mm

    def inverse(self) -> "RigidTransform2D":
        """From target to source, in closed form."""
        x, z = -np.array(self.shift_mm) @ self.turn
        return RigidTransform2D(-self.rotation_deg, (float(x), float(z)), self.target, self.source)

    def then(self, following: "RigidTransform2D") -> "RigidTransform2D":
        """First this, then ``following``, which must start where this ends."""
        if self.target != following.source:
            raise ValueError(f"{self.target!r} is not {following.source!r}: these transforms do not join")
        x, z = following.apply(np.array(self.shift_mm))
        angle = math.remainder(self.rotation_deg + following.rotation_deg, 360.0)
        return RigidTransform2D(angle, (float(x), float(z)), self.source, following.target)

    def to_pixels(self, source: PixelGrid, target: PixelGrid) -> tuple[Float, Float]:
        """Matrix [2, 2] and offset [2] from (row, col) of ``source`` to (row, col) of ``target``.

        ``scipy.ndimage.affine_transform`` maps output to input: pass it
        ``transform.inverse().to_pixels(target, source)``.
        """
        out, back = (np.array([g.spacing.row_mm, g.spacing.col_mm]) for g in (target, source))
        matrix = self.turn[::-1, ::-1] * back / out[:, None]
        return matrix, target.to_pixels(self.apply(np.array(source.origin_mm)))


def _turn(degrees: float) -> Float:
    a = math.radians(degrees)
    return np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
