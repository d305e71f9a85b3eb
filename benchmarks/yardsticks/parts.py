"""The CT taken apart: each vertebra as a cloud of masses in its own frame, and what is left without them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.ndimage import gaussian_filter1d

from benchmarks.yardsticks.anatomy import LAST_WHOLE, ct_spine, endplate_frames
from benchmarks.yardsticks.volume import CORD, VERTEBRA_LABEL, CtVolume, load_ct
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.spine import frames_along

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
HUMERI = (69, 70)
FILL = np.array([0.0, 1.0, 0.05], np.float32)
"""What stands where bones were taken out: muscle, g/cm³ of bone, lean and fat."""
NEAR_MM = 2.0
"""Bone so near to a vertebra's label belongs to it."""


@dataclass(frozen=True)
class Cloud:
    """Points [n, 3] in a vertebra's frame, mm, and by how many grams [n, 3] each differs from muscle."""

    points: Float32
    mass: Float32


@dataclass(frozen=True)
class Parts:
    """The CT taken apart.

    Parameters
    ----------
    clouds
        T1 to L5. L3 to L5, which the CT does not show whole, are L2, L1 and L2 enlarged and wedged anew.
    soft
        g/cm³ [z, y, x, 3] without vertebrae and upper arms, pixels doubled in plane.
    spacing
        mm a voxel of ``soft`` (z, y, x); ``origin`` is the place (x, y, z) of its first voxel.
    centres, frames, size
        The CT's own spine [17, 3], [17, 3, 3], [17, 3]; frames follow the line and hold each vertebra's axial
        turn. (The clouds are in the frames of the endplates.)
    """

    clouds: tuple[Cloud, ...]
    soft: Float32
    spacing: tuple[float, float, float]
    origin: Float
    centres: Float
    frames: Float
    size: Float


@lru_cache(maxsize=1)
def ct_parts() -> Parts:
    """Take the CT apart (about 15 s, then kept)."""
    volume, spine = load_ct(), ct_spine()
    axial = _axial_deg(volume, spine.centres, spine.frames)
    frames, plates = frames_along(spine.centres, axial), endplate_frames(spine.centres, axial)
    owner = _owners(volume)
    clouds = [_cloud(volume, owner, k, spine.centres[k], plates[k]) for k in range(int(LAST_WHOLE) + 1)]
    wedge = morphometry.WEDGE
    for k in range(int(LAST_WHOLE) + 1, N_LEVELS):
        like = LAST_WHOLE - (k - LAST_WHOLE + 1) % 2  # L3 and L5 from L2, L4 from L1
        ratio = spine.size[k] / spine.size[like]
        points = clouds[like].points * ratio
        points[:, 2] *= 1 + 2 * (wedge[k] - wedge[like]) * np.clip(points[:, 1] / spine.size[k, 1], -0.6, 1.0)
        mass = clouds[like].mass * ratio.prod()
        clouds.append(Cloud(points.astype(np.float32), mass.astype(np.float32)))
    density = np.moveaxis(volume.density, 0, -1).copy()
    density[(owner > 0) | np.isin(volume.labels, HUMERI)] = FILL
    z, y, x, _ = density.shape
    soft = density.reshape(z, y // 2, 2, x // 2, 2, 3).mean((2, 4))
    dz, dy, dx = volume.spacing
    return Parts(
        tuple(clouds),
        np.ascontiguousarray(soft, np.float32),
        (dz, 2 * dy, 2 * dx),
        np.array([dx / 2, dy / 2, 0.0]),
        spine.centres,
        frames,
        spine.size,
    )


def _axial_deg(volume: CtVolume, centres: Float, frames: Float) -> Float:
    """Axial turn of each vertebra [17]: where its canal lies as seen from the body, smoothed over levels."""
    cord = volume.xyz_mm(np.argwhere(volume.labels == CORD))
    out = np.zeros(N_LEVELS)
    for k in range(int(LAST_WHOLE) + 1):
        q = (cord - centres[k]) @ frames[k]
        q = q[np.abs(q[:, 2]) < 6]
        # a front turned to the left has its back, and the canal, turned to the right
        out[k] = np.degrees(np.arctan2(-q[:, 0].mean(), q[:, 1].mean()))
    out[int(LAST_WHOLE) + 1 :] = out[LAST_WHOLE]
    return np.asarray(gaussian_filter1d(out, 1.0, mode="nearest"))


def _owners(volume: CtVolume) -> NDArray[np.uint8]:
    """Which vertebra a voxel belongs to, 1 + its number, or 0; unlabelled bone joins the nearest."""
    owner = np.zeros(volume.labels.shape, np.uint8)
    for level, label in VERTEBRA_LABEL.items():
        owner[volume.labels == label] = 1 + int(level)
    loose = (owner == 0) & (volume.labels == 0) & (volume.density[0] > 0)
    distance, index = ndimage.distance_transform_edt(owner == 0, sampling=volume.spacing, return_indices=True)
    join = loose & (distance <= NEAR_MM)
    owner[join] = owner[tuple(i[join] for i in index)]
    return owner


def _cloud(volume: CtVolume, owner: NDArray[np.uint8], level: int, centre: Float, frame: Float) -> Cloud:
    """Voxels of one vertebra, each as three points along z (slices are thick)."""
    index = np.argwhere(owner == 1 + level)
    density = volume.density[:, index[:, 0], index[:, 1], index[:, 2]].T
    gram = (density - FILL) * float(np.prod(volume.spacing)) / 1000 / 3
    points = volume.xyz_mm(index)
    dz = volume.spacing[0] / 3
    parts = [(points + np.array([0, 0, k * dz]) - centre) @ frame for k in (-1, 0, 1)]
    return Cloud(np.concatenate(parts).astype(np.float32), np.tile(gram, (3, 1)).astype(np.float32))
