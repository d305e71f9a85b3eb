"""How vertebral bodies stand to the centre line: endplates are not square to it."""

import numpy as np
from numpy.typing import NDArray

from spinelift.geometry import Vertebra
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.spine import frames_along

Float = NDArray[np.float64]
FORWARD_DEG: Float = np.interp(np.arange(N_LEVELS), [Vertebra.T9, Vertebra.L1], [0.0, 3.3])
"""By how much the endplates of real vertebrae stand forward of the tangent of the centre line [17]. Means
of real people: 0 in the thorax, 3.3 in the lumbar spine; linear from T9 to L1."""
FORWARD_PERSON_DEG, FORWARD_LEVEL_DEG = 1.5, 1.2
"""Standard deviations of that angle between people, common to all levels, and between levels."""
SIDEWAYS_LEVEL_DEG = 1.0
"""Standard deviation of the same angle in the coronal plane between levels."""


def sample_tilt(rng: np.random.Generator) -> Float:
    """What a person's vertebral axes have beside the unit tangents [17, 3], for `frames_along`."""
    forward = FORWARD_DEG + rng.normal(0, FORWARD_PERSON_DEG) + rng.normal(0, FORWARD_LEVEL_DEG, N_LEVELS)
    sideways = rng.normal(0, SIDEWAYS_LEVEL_DEG, N_LEVELS)
    # an axis that points down and is turned forward above points to the back below
    return np.tan(np.radians(np.stack([sideways, forward, np.zeros(N_LEVELS)], 1)))


def turned_to(frames: Float, axes: Float) -> Float:
    """Frames [n, 3, 3] (columns left, posterior, down) turned so that they point down along axes [n, 3]."""
    left = frames[:, :, 0] - axes * (frames[:, :, 0] * axes).sum(1, keepdims=True)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return np.stack([left, np.cross(axes, left), axes], 2)


def along_line(centres: Float, frames: Float) -> Float:
    """Frames [17, 3, 3] turned to the tangents of the line through their centres [17, 3]."""
    return turned_to(frames, frames_along(centres, np.zeros(N_LEVELS))[:, :, 2])
