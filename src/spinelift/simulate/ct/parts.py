"""A CT taken apart: each vertebra as a cloud of masses in its own frame, and what is left without them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spinelift.geometry.arrays import Float, Float32
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.ct.bodies import CtSpine
from spinelift.simulate.ct.materials import Spacing3
from spinelift.simulate.ct.volume import CtVolume

FILL = np.array([0.0, 1.0, 0.05], np.float32)
"""What stands where bones were taken out: muscle, g/cm³ of bone, lean and fat."""
NEAR_MM = 2.0
"""Bone so near to a vertebra's label belongs to it."""
POINT_MM = 1.0
"""Largest step of a cloud's points, across and along; a ray of the projection is 1.2 mm wide."""


@dataclass(frozen=True)
class Cloud:
    """Points [n, 3] in a vertebra's frame, mm, and by how many grams [n, 3] each differs from muscle."""

    points: Float32
    mass: Float32


@dataclass(frozen=True)
class Parts:
    """A CT taken apart.

    Parameters
    ----------
    clouds
        By level, of the whole vertebrae.
    soft
        g/cm³ [z, y, x, 3] of bone, lean and fat of all else.
    spacing
        mm a voxel of ``soft`` (z, y, x), whose first voxel is at 0.
    spine
        The CT's own spine.
    """

    clouds: dict[int, Cloud]
    soft: Float32
    spacing: Spacing3
    spine: PosedSpine


def take_apart(volume: CtVolume, spine: CtSpine, *, leave_out: tuple[int, ...] = ()) -> Parts:
    """Take a CT apart; bones with the labels ``leave_out`` become muscle."""
    owner = _owners(volume, spine)
    posed = spine.spine
    clouds = {k: _cloud(volume, owner, k, posed.centres[k], posed.frames[k]) for k in spine.levels}
    soft = np.moveaxis(volume.density, 0, -1).copy()
    soft[(owner > 0) | np.isin(volume.labels, leave_out)] = FILL
    return Parts(clouds, np.ascontiguousarray(soft), volume.spacing, posed)


def _owners(volume: CtVolume, spine: CtSpine) -> NDArray[np.int8]:
    """Which whole vertebra a voxel belongs to, 1 + its level, or 0; unlabelled bone joins the nearest."""
    owner = np.where(np.isin(volume.levels, [k + 1 for k in spine.levels]), volume.levels, np.int8(0))
    box = ndimage.find_objects((owner > 0).view(np.int8))[0]
    box = tuple(slice(max(side.start - 4, 0), side.stop + 4) for side in box)
    inside = owner[box]
    loose = (volume.levels[box] == 0) & (volume.labels[box] == 0) & (volume.density[0][box] > 0)
    distance, index = ndimage.distance_transform_edt(
        inside == 0, sampling=volume.spacing, return_indices=True
    )
    join = loose & (distance <= NEAR_MM)
    inside[join] = inside[tuple(i[join] for i in index)]
    return owner


def _cloud(volume: CtVolume, owner: NDArray[np.int8], level: int, centre: Float, frame: Float) -> Cloud:
    """Voxels of one vertebra, each as several points across and along, because voxels are coarse."""
    index = np.argwhere(owner == 1 + level)
    density = volume.density[:, index[:, 0], index[:, 1], index[:, 2]].T
    (dz, _, dx), points = volume.spacing, volume.xyz_mm(index)
    down, across = int(np.ceil(dz / POINT_MM)), int(np.ceil(dx / POINT_MM))
    gram = (density - FILL) * float(np.prod(volume.spacing)) / 1000 / (down * across)
    steps = [
        np.array([((i + 0.5) / across - 0.5) * dx, 0.0, ((k + 0.5) / down - 0.5) * dz])
        for i in range(across)
        for k in range(down)
    ]
    moved = np.concatenate([(points + step - centre) @ frame for step in steps])
    return Cloud(moved.astype(np.float32), np.tile(gram, (len(steps), 1)).astype(np.float32))
