"""How vertebral bodies stand to the centre line of the yardsticks' people: endplates are not square to it."""

import numpy as np
from numpy.typing import NDArray

from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.spine import FORWARD_DEG, FORWARD_PERSON_DEG

Float = NDArray[np.float64]
FORWARD_LEVEL_DEG, SIDEWAYS_LEVEL_DEG = 1.2, 1.0
"""Standard deviations between levels of the angle of ``FORWARD_DEG``, and of that in the coronal plane."""


def sample_tilt(rng: np.random.Generator) -> Float:
    """What a person's vertebral axes have beside the unit tangents [17, 3], for `frames_along`."""
    forward = FORWARD_DEG + rng.normal(0, FORWARD_PERSON_DEG) + rng.normal(0, FORWARD_LEVEL_DEG, N_LEVELS)
    return forward_tilt(forward, rng.normal(0, SIDEWAYS_LEVEL_DEG, N_LEVELS))


def forward_tilt(forward_deg: Float, sideways_deg: Float | float = 0.0) -> Float:
    """Angles [17] forward of the line and to its side, degrees, as the tilt [17, 3] of `frames_along`.

    An axis that points down and is turned forward above points to the back below.
    """
    sideways = np.broadcast_to(sideways_deg, forward_deg.shape)
    return np.asarray(np.tan(np.radians(np.stack([sideways, forward_deg, np.zeros_like(forward_deg)], 1))))
