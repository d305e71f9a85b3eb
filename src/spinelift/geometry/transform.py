"""Where a point of one image lies in another: rigid movements of the coronal plane, and grids of pixels.

Points are (x, z) in mm, pixels (row, col); an integer index is the centre of a pixel.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinelift.geometry.frame import Spacing

Float = NDArray[np.float64]


@dataclass(frozen=True)
class PixelGrid:
    """Pixels of an image in the plane.

    Parameters
    ----------
    origin_mm
        (x, z) of the centre of pixel (0, 0).
    spacing
        Pixel size, mm.
    shape
        Rows and columns.
    """

    origin_mm: tuple[float, float]
    spacing: Spacing
    shape: tuple[int, int]

    @property
    def centre_mm(self) -> Float:
        """(x, z) of the middle of the grid [2]."""
        return self.to_mm((np.array(self.shape) - 1) / 2)

    @property
    def corners_mm(self) -> Float:
        """(x, z) of the outermost pixel centres [4, 2]."""
        rows, cols = self.shape
        return self.to_mm(np.array([[r, c] for r in (0, rows - 1) for c in (0, cols - 1)], np.float64))

    def to_mm(self, rowcol: Float) -> Float:
        """(row, col) → (x, z) in mm [..., 2]."""
        rowcol = np.asarray(rowcol, np.float64)
        (x0, z0), s = self.origin_mm, self.spacing
        return np.stack([x0 + rowcol[..., 1] * s.col_mm, z0 + rowcol[..., 0] * s.row_mm], -1)

    def to_pixels(self, xz_mm: Float) -> Float:
        """(x, z) in mm → (row, col) [..., 2]."""
        xz = np.asarray(xz_mm, np.float64)
        (x0, z0), s = self.origin_mm, self.spacing
        return np.stack([(xz[..., 1] - z0) / s.row_mm, (xz[..., 0] - x0) / s.col_mm], -1)


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
        """Same place in both."""
        return cls(0.0, (0.0, 0.0), source, target)

    @classmethod
    def about(
        cls, centre_mm: Float, rotation_deg: float, shift_mm: Float, *, source: str, target: str
    ) -> "RigidTransform2D":
        """Turn about a point (x, z) of the source, then shift."""
        centre = np.asarray(centre_mm, np.float64)
        offset = centre + np.asarray(shift_mm, np.float64) - _turn(rotation_deg) @ centre
        return cls(float(rotation_deg), (float(offset[0]), float(offset[1])), source, target)

    @classmethod
    def fit(
        cls, here: Float, there: Float, weight: Float | None = None, *, source: str, target: str
    ) -> "RigidTransform2D":
        """Weighted least squares from points [n, 2] (x, z) to points [n, 2]; no scaling.

        In closed form (Kabsch 1976, doi:10.1107/S0567739476001873; in the plane one arctangent).
        """
        w = np.ones(len(here)) if weight is None else np.asarray(weight, np.float64)
        w = (w / w.sum())[:, None]
        a0, b0 = (w * here).sum(0), (w * there).sum(0)
        a, b = here - a0, there - b0
        sine = (w[:, 0] * (a[:, 1] * b[:, 0] - a[:, 0] * b[:, 1])).sum()
        angle = math.degrees(math.atan2(sine, (w * a * b).sum()))
        return cls.about(a0, angle, b0 - a0, source=source, target=target)

    @property
    def turn(self) -> Float:
        """Rotation matrix [2, 2] on (x, z)."""
        return _turn(self.rotation_deg)

    def apply(self, xz_mm: Float) -> Float:
        """Points [..., 2] of the source in target coordinates."""
        return np.asarray(np.asarray(xz_mm, np.float64) @ self.turn.T + self.shift_mm)

    def inverse(self) -> "RigidTransform2D":
        """From target to source, in closed form."""
        shift = -np.array(self.shift_mm) @ self.turn
        return RigidTransform2D(
            -self.rotation_deg, (float(shift[0]), float(shift[1])), self.target, self.source
        )

    def then(self, following: "RigidTransform2D") -> "RigidTransform2D":
        """First this, then ``following``, which must start where this ends."""
        if self.target != following.source:
            raise ValueError(f"{self.target!r} is not {following.source!r}: these transforms do not join")
        x, z = following.apply(np.array(self.shift_mm))
        angle = math.remainder(self.rotation_deg + following.rotation_deg, 360.0)
        return RigidTransform2D(angle, (float(x), float(z)), self.source, following.target)

    def to_pixels(self, source: PixelGrid, target: PixelGrid) -> tuple[Float, Float]:
        """Matrix [2, 2] and offset [2] from (row, col) of ``source`` to (row, col) of ``target``.

        To resample with ``scipy.ndimage.affine_transform``, which asks for the way from the output to the
        input, take ``transform.inverse().to_pixels(target, source)``.
        """
        out, back = _steps(target.spacing), _steps(source.spacing)
        matrix = self.turn[::-1, ::-1] * back[None, :] / out[:, None]
        start = self.apply(np.array(source.origin_mm))
        return matrix, target.to_pixels(start)

    @classmethod
    def from_pixels(
        cls,
        matrix: Float,
        offset: Float,
        *,
        source: tuple[str, PixelGrid],
        target: tuple[str, PixelGrid],
    ) -> "RigidTransform2D":
        """The movement behind a map of pixels; the other way about from :meth:`to_pixels`.

        Raises
        ------
        ValueError
            The map scales, shears or mirrors.
        """
        (source_name, grid), (target_name, onto) = source, target
        out, back = _steps(onto.spacing), _steps(grid.spacing)
        turn = (np.asarray(matrix, np.float64) * out[:, None] / back[None, :])[::-1, ::-1]
        angle = math.degrees(math.atan2(turn[0, 1] - turn[1, 0], turn[0, 0] + turn[1, 1]))
        if not np.allclose(turn, _turn(angle), atol=1e-6):
            raise ValueError("this map of pixels is not rigid in millimetres")
        shift = onto.to_mm(np.asarray(offset, np.float64)) - _turn(angle) @ grid.origin_mm
        return cls(angle, (float(shift[0]), float(shift[1])), source_name, target_name)


def _turn(degrees: float) -> Float:
    a = math.radians(degrees)
    return np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])


def _steps(spacing: Spacing) -> Float:
    return np.array([spacing.row_mm, spacing.col_mm])
