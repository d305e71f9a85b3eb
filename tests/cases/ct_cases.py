"""A small CT of a painted person: bent both ways, on a table, with more on the left than on the right."""

from pathlib import Path

import nibabel
import numpy as np

from spinelift.geometry import Vertebra
from spinelift.io.nifti.volume import write_nifti
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.body.spine import PosedSpine, frames_along

MM = np.array([2.0, 2.0, 2.0])
"""mm a voxel (x, y, z)."""
SHAPE = (260, 130, 150)
"""Voxels [z, y, x]."""
SIZE = np.stack([morphometry.BODY_WIDTH, morphometry.BODY_DEPTH, morphometry.BODY_HEIGHT], 1) * [
    1.0,
    1.0,
    1.08,
]


WAIST = 1 - morphometry.WAIST
"""Width of a body in the middle over that of its endplates; here the whole body has it."""


def painted_spine() -> PosedSpine:
    """A spine that bends to the left and is kyphotic and lordotic, in mm from the CT's first voxel."""
    prior = ShapePrior.load()
    centres = prior.centres(prior.mean)
    t = np.linspace(0, 1, 17)
    centres[:, 0] = 8 * np.sin(np.pi * t) + 4 * np.sin(2 * np.pi * t)
    centres += np.array(SHAPE)[::-1] * MM / 2 - [0, 0, 5]
    return PosedSpine(centres, frames_along(centres, np.zeros(17)), SIZE)


def paint_ct() -> tuple[np.ndarray, np.ndarray, PosedSpine]:
    """HU int16, VerSe labels uint8, both [z, y, x] in patient axes, and the true spine."""
    spine = painted_spine()
    z, y, x = (np.arange(n) * mm for n, mm in zip(SHAPE, MM[::-1], strict=True))
    middle = spine.centres[:, :2].mean(0)
    hu = np.full(SHAPE, -1000, np.int16)
    flesh = ((x - middle[0]) / 125) ** 2 + ((y[:, None] - middle[1] + 25) / 95) ** 2 <= 1
    hu[:, flesh] = 40
    hu[:, 126:128, 10:140] = 300  # table
    chest = (z > 100) & (z < 250)
    hu[np.ix_(chest, (y > 50) & (y < 110), (x > middle[0] + 40) & (x < middle[0] + 90))] = -850  # left lung
    hu[np.ix_((z > 40) & (z < 60), (y > 60) & (y < 90), (x > 203) & (x < 212))] = 900  # upper left
    labels = np.zeros(SHAPE, np.uint8)
    grid = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], -1)
    for level in Vertebra:
        c, f, (width, depth, height) = spine.centres[level], spine.frames[level], spine.size[level]
        near = tuple(
            slice(max(int((c[2 - k] - r) / MM[2 - k]), 0), int((c[2 - k] + r) / MM[2 - k]) + 1)
            for k, r in enumerate((45, 75, 65))
        )
        q = (grid[near] - c) @ f
        across = ((q[..., 0] / (width / 2)) ** 2 + (q[..., 1] / (depth / 2)) ** 2) <= WAIST**2
        body = across & (np.abs(q[..., 2]) <= height / 2)
        canal = q[..., 1] - WAIST * depth / 2 - 8  # mm behind its middle
        arch = (np.hypot(q[..., 0] / 16, canal / 13) <= 1) & (np.hypot(q[..., 0] / 12, canal / 8) > 1)
        arch &= (np.abs(q[..., 2] - 2) <= height * 0.3) & (canal > -10)
        spinous = (np.abs(q[..., 0]) < 4) & (q[..., 1] > depth / 2 + 18) & (q[..., 1] < depth / 2 + 40)
        left = (q[..., 0] > 10) & (q[..., 0] < 34) & (np.abs(q[..., 1] - depth / 2 - 8) < 5)
        process = (spinous | left) & (np.abs(q[..., 2] - 4) < 5)
        whole = body | arch | process
        hu[near][whole] = 250
        hu[near][whole & ~body] = 600
        labels[near][whole] = 8 + level
    return hu, labels, spine


def save_ct(
    folder: Path, name: str, hu: np.ndarray, labels: np.ndarray, *, axes: str = "LPI", first_z: int = 0
) -> tuple[Path, Path]:
    """Write both as NIfTI whose array axes run to ``axes``."""
    affine = np.diag([*MM, 1.0]) * [1, 1, -1, 1]
    affine[2, 3] = -first_z * MM[2]
    paths = folder / f"{name}_ct.nii.gz", folder / f"{name}_seg-vert_msk.nii.gz"
    for path, data in zip(paths, (hu, labels), strict=True):
        write_nifti(path, data.astype(np.float32) if data.dtype == np.int16 else data, affine)
        if axes != "LPI":
            image = nibabel.load(path)
            ornt = nibabel.orientations.ornt_transform(
                nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(tuple(axes))
            )
            nibabel.save(image.as_reoriented(ornt), path)
    return paths
