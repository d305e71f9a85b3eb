"""Thoracic kyphosis and lumbar lordosis of a sagittal centre line."""

import numpy as np
from numpy.typing import ArrayLike

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.measures.levels import SpineLine
from spinelift.measures.smoothing import SmoothLine

SMOOTHING = 0.15
"""Wavelength of the smoothing as a share of the spine's height. Shorter than in the coronal view: the levels
are fixed, whatever the noise, and the tilt of L5 is to be kept."""
SAMPLES: Float = np.linspace(0, 1, 105)
"""Relative heights at which a line is read."""


def turn_deg(line: SpineLine, upper: Vertebra, lower: Vertebra) -> Float:
    """Tilt at the upper endplate of ``upper`` less that at the lower endplate of ``lower``, degrees.

    Of m lines an array [m], of one a number.
    """
    heights = line.bodies if len(line.z_mm) == len(Vertebra) else SAMPLES
    smooth = SmoothLine(heights, line.at(heights), line.height_mm, wavelength=SMOOTHING)
    tilt = smooth.tilt_deg(line.endplates[[upper, lower + 1]])
    return np.asarray(tilt[0] - tilt[1])


def kyphosis_deg(z_mm: ArrayLike, y_mm: ArrayLike) -> float:
    """Thoracic kyphosis: between the tangents at T4's upper and T12's lower endplate.

    Tangents of the centre line stand in for the endplates, which it does not show.

    Parameters
    ----------
    z_mm, y_mm : array_like of shape (n,)
        Heights, increasing to the feet, and depths, growing to posterior, in mm: a line from T1's upper to
        L5's lower endplate, or the 17 vertebral centres.

    Returns
    -------
    float
        Degrees; positive for a kyphosis (convex to posterior).

    Raises
    ------
    InvalidCurveError
        If the line cannot be measured.

    Examples
    --------
    >>> import numpy as np
    >>> from spinelift.measures import kyphosis_deg
    >>> z = np.linspace(0, 440, 209)
    >>> round(kyphosis_deg(z, 40 * np.sin(np.pi * z / 440)), 1)
    20.4
    """
    return float(turn_deg(SpineLine.of(z_mm, y_mm), Vertebra.T4, Vertebra.T12))


def lordosis_deg(z_mm: ArrayLike, y_mm: ArrayLike) -> float:
    """Lumbar lordosis: between the tangents at L1's upper and L5's lower endplate.

    Tangents of the centre line stand in for the endplates, which it does not show. Of 17 vertebral centres
    the lower tangent is that at L5's centre.

    Parameters
    ----------
    z_mm, y_mm : array_like of shape (n,)
        Heights, increasing to the feet, and depths, growing to posterior, in mm: a line from T1's upper to
        L5's lower endplate, or the 17 vertebral centres.

    Returns
    -------
    float
        Degrees; positive for a lordosis (convex to anterior).

    Raises
    ------
    InvalidCurveError
        If the line cannot be measured.

    Examples
    --------
    >>> import numpy as np
    >>> from spinelift.measures import lordosis_deg
    >>> z = np.linspace(0, 440, 209)
    >>> round(lordosis_deg(z, -40 * np.sin(np.pi * z / 440)), 1)
    10.8
    """
    return -float(turn_deg(SpineLine.of(z_mm, y_mm), Vertebra.L1, Vertebra.L5))
