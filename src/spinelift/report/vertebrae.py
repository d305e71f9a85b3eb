"""Place, inclination and size of each vertebra along the predicted spine.

The curves show where the vertebral bodies are, not their endplates: inclination and tilt are those of the
centre line between the borders of a vertebra, and axial rotation is not estimated.
"""

from dataclasses import dataclass

import numpy as np

from spinelift.curves import Curve, ellipses_mm, resample_rows
from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.report.scene import SpineScene

BODY_SHARE = 0.78
"""Height of a drawn body over the distance of neighbouring vertebrae; the rest is disc. Schematic."""


@dataclass(frozen=True)
class PlacedVertebra:
    """One vertebra in patient axes, mm.

    ``centre_mm`` [3] is on the centre line; ``axes`` [3, 3] are unit vectors to the vertebra's left,
    posterior and feet; ``half_mm`` [3] are half the body's width, depth and height along them.
    """

    level: Vertebra
    centre_mm: Float
    axes: Float
    half_mm: Float

    @property
    def matrix(self) -> Float:
        """[4, 4] from the unit body (each half size 1) to patient mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes.T * self.half_mm
        matrix[:3, 3] = self.centre_mm
        return matrix


def place_vertebrae(scene: SpineScene) -> tuple[PlacedVertebra, ...]:
    """The 17 vertebrae at the scene's levels."""
    curves, levels = scene.curves, scene.levels_mm
    z = np.array(list(levels.values()))
    half_gap = np.gradient(z) / 2
    points = np.stack([z - half_gap, z, z + half_gap])
    rows = resample_rows(curves.z_mm, curves.mm, points.ravel()).reshape(len(Curve), 3, len(z))
    upper, centre, lower = np.stack([rows[Curve.CENTRE], rows[Curve.SAGITTAL], points], -1)
    _, half = ellipses_mm(rows[:, 1])
    feet = _unit(lower - upper)
    left = _unit(np.array([1.0, 0, 0]) - feet[:, :1] * feet)
    posterior = np.cross(feet, left)
    # The curves' widths are horizontal; across the axis they are shorter by the cosine.
    size = [half[:, 0] * left[:, 0], half[:, 1] * posterior[:, 1], BODY_SHARE * half_gap / feet[:, 2]]
    axes = np.stack([left, posterior, feet], 1)
    parts = zip(levels, centre, axes, np.stack(size, 1), strict=True)
    return tuple(PlacedVertebra(*part) for part in parts)


def _unit(vectors: Float) -> Float:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
