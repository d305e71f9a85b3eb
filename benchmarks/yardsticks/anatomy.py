"""Vertebral bodies of the labelled CT: which voxels are body, where its centre is, how it lies, how large."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.diffdrr_marks import EndplateMarks
from benchmarks.yardsticks.forward import FORWARD_DEG, turned_to
from benchmarks.yardsticks.volume import CORD, VERTEBRA_LABEL, CtVolume, load_ct
from spinelift.geometry import Vertebra
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.prior import N_LEVELS, ShapePrior
from spinelift.simulate.body.spine import PosedSpine, frames_along

Float = NDArray[np.float64]

LAST_WHOLE = Vertebra.L2
"""The lowest vertebra that the CT shows whole; L3 to L5 are extrapolated."""
N_WHOLE = int(LAST_WHOLE) + 1


def body_voxels(points: Float, cord: Float, centre: Float, frame: Float) -> NDArray[np.bool_]:
    """Which voxels [n, 3] of a vertebra lie in front of its canal, all in mm.

    The front of the canal is the front of the spinal cord within 8 mm of the vertebra's mid-plane, in the
    vertebra's own frame.
    """
    q, c = (points - centre) @ frame, (cord - centre) @ frame
    level = c[np.abs(c[:, 2]) < 8]
    return np.asarray(q[:, 1] < np.percentile(level[:, 1], 3) - 1.0)


def find_bodies(volume: CtVolume) -> tuple[Float, Float]:
    """Centres [14, 3] and sizes [14, 3] (width, depth at the endplates, height) of T1 to L2, mm.

    Starts from the parts in front of the cord slice by slice, then cuts each vertebra twice in the frame
    that the neighbouring centres give.
    """
    cord = volume.xyz_mm(np.argwhere(volume.labels == CORD))
    clouds = [
        volume.xyz_mm(np.argwhere(volume.labels == VERTEBRA_LABEL[Vertebra(k)])) for k in range(N_WHOLE)
    ]
    z = np.unique(cord[:, 2])
    front = np.array([cord[cord[:, 2] == s, 1].min() for s in z])
    bodies = [p[p[:, 1] < np.interp(p[:, 2], z, front)] for p in clouds]
    for _ in range(3):
        centres = np.array([b.mean(0) for b in bodies])
        frames = _frames(centres)
        bodies = [p[body_voxels(p, cord, c, f)] for p, c, f in zip(clouds, centres, frames, strict=True)]
    sizes = np.array([_size((b - c) @ f) for b, c, f in zip(bodies, centres, frames, strict=True)])
    return centres, sizes


def _frames(centres: Float) -> Float:
    """`frames_along` for fewer than 17 levels: the missing ones are added straight on."""
    step = centres[-1] - centres[-2]
    more = centres[-1] + step * np.arange(1, N_LEVELS - len(centres) + 1)[:, None]
    return frames_along(np.concatenate([centres, more]), np.zeros(N_LEVELS))[: len(centres)]


def _size(q: Float) -> Float:
    """Width and depth at the endplates and height of a body's voxels [n, 3] in its own frame.

    A filled ellipse is 4 standard deviations wide, a block sqrt(12); mid-height is narrower by the waist.
    """
    middle = q[np.abs(q[:, 2]) < 4]
    core = q[(np.abs(q[:, 0]) < 7) & (np.abs(q[:, 1]) < 6)]
    width, depth = 4 * middle[:, :2].std(0) / (1 - morphometry.WAIST)
    return np.array([width, depth, np.sqrt(12) * core[:, 2].std()])


@lru_cache(maxsize=1)
def ct_spine() -> PosedSpine:
    """The CT's spine in the frames of its endplates; L3 to L5 go on with the prior's mean steps and turns.

    Only T1 to L2 are measured.
    """
    centres, sizes = find_bodies(load_ct())
    prior = ShapePrior.load()
    mean = np.diff(prior.centres(prior.mean), axis=0)
    own = np.diff(centres, axis=0)
    scale = np.linalg.norm(own, axis=1).sum() / np.linalg.norm(mean[: len(own)], axis=1).sum()
    turn = np.arctan2(own[-1, :2], own[-1, 2]) - np.arctan2(mean[len(own) - 1, :2], mean[len(own) - 1, 2])
    more = []
    for k, step in enumerate(mean[len(own) :]):
        angle = np.arctan2(step[:2], step[2]) + turn * 0.6 ** (k + 1)
        direction = np.array([*np.tan(angle), 1.0])
        more.append(direction / np.linalg.norm(direction) * np.linalg.norm(step) * scale)
    centres = np.concatenate([centres, centres[-1] + np.cumsum(more, 0)])
    table = np.stack([morphometry.BODY_WIDTH, morphometry.BODY_DEPTH, morphometry.BODY_HEIGHT], 1)
    sizes = np.concatenate([sizes, table[N_WHOLE:] * sizes[-1] / table[N_WHOLE - 1]])
    return PosedSpine(centres, endplate_frames(centres, np.zeros(N_LEVELS)), sizes)


def endplate_frames(centres: Float, axial_deg: Float) -> Float:
    """Frames [17, 3, 3] of the CT's vertebrae: marked endplates from T1 to L2, below as in real people."""
    tilt = np.zeros((N_LEVELS, 3))
    tilt[N_WHOLE:, 1] = np.tan(np.radians(FORWARD_DEG[N_WHOLE:]))
    frames = frames_along(centres, axial_deg, tilt)
    frames[:N_WHOLE] = turned_to(frames[:N_WHOLE], EndplateMarks.load().axes()[:N_WHOLE])
    return frames
