"""Which vertebrae are whole enough to be donors."""

import numpy as np

from spinelift.simulate.body import morphometry
from spinelift.simulate.body.donors import DonorVertebra

BODY = (0.65, 1.45)
"""Least and greatest width, depth and height of a body over the mean adult's."""
CRUSHED = 0.74
"""Least height over the geometric mean of width and depth, relative to the mean adult's."""
REACH = 0.45
"""Least reach of the spinous process behind the body over the mean adult's length of it."""
CUT_SHARE = 0.05
"""Share of the surface that lies in the plane where a scan ends, from which a vertebra counts as cut."""


def check_vertebra(bone: DonorVertebra) -> None:
    """Raise ValueError, with the reason, for a vertebra that is cut, incomplete, tiny or crushed."""
    table = np.array([c[bone.level] for c in (morphometry.BODY_WIDTH, morphometry.BODY_DEPTH)])
    usual = np.append(table, morphometry.BODY_HEIGHT[bone.level])
    ratio = bone.size / usual
    if not np.isfinite(ratio).all():
        raise ValueError("its body cannot be measured: a part of it is missing")
    for name, value, times in zip(("width", "depth", "height"), bone.size, ratio, strict=True):
        if not BODY[0] <= times <= BODY[1]:
            raise ValueError(f"its body has a {name} of {value:.0f} mm, {times:.1f} times the mean adult's")
    if ratio[2] < CRUSHED * np.sqrt(ratio[0] * ratio[1]):
        raise ValueError(f"its body is crushed: a height of {bone.size[2]:.0f} mm")
    if (share := cut_share(bone)) > CUT_SHARE:
        raise ValueError(f"it is cut: {share:.0%} of its surface lie in one plane at its end")
    reach = float(bone.mesh.vertices[:, 1].max()) - bone.size[1] / 2
    if reach < REACH * morphometry.SPINOUS_LENGTH[bone.level]:
        raise ValueError(f"its arch is incomplete: it reaches {reach:.0f} mm behind the body")


def cut_share(bone: DonorVertebra) -> float:
    """Share of the surface within half a millimetre of the highest or lowest plane of the scan."""
    points = bone.mesh.vertices @ bone.frame.T
    z = points[:, 2][bone.mesh.faces]
    a, b, c = (points[bone.mesh.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    ends = [(z < points[:, 2].min() + 0.5).all(1), (z > points[:, 2].max() - 0.5).all(1)]
    return float(max(area[end].sum() for end in ends) / area.sum())
