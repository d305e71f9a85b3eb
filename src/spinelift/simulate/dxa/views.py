"""A simulated person projected from the front and from the side."""

from collections.abc import Callable

import numpy as np

from spinelift.geometry import PixelGrid
from spinelift.geometry.arrays import Float
from spinelift.simulate.body.body import Body
from spinelift.simulate.body.solids import MATERIALS
from spinelift.simulate.dxa.project import add_mesh

COARSE = frozenset(
    {
        "skin",
        "trunk wall",
        "cavity",
        "lung",
        "liver",
        "heart",
        "arm",
        "leg",
        "arm muscle",
        "leg muscle",
        "head",
    }
)
"""Large smooth solids, for which one ray a pixel is enough."""
ARMS = frozenset({"arm", "arm muscle", "humerus", "ulna", "radius", "finger"})
"""What is out of the way when the arms are raised."""


def project_front(body: Body, view: PixelGrid) -> Float:
    """Maps of bone, lean and fat [3, rows, cols] in g/cm², rays from back to front."""
    return _project(body, view, lambda p: p)


def project_side(body: Body, view: PixelGrid) -> Float:
    """The same, rays from the patient's right to the left; columns grow to posterior."""
    return _project(body, view, lambda p: p[:, [1, 0, 2]] * np.array([1.0, -1.0, 1.0]))


def _project(body: Body, view: PixelGrid, turn: Callable[[Float], Float]) -> Float:
    maps = np.zeros((len(MATERIALS), *view.shape))
    for solid in body.solids:
        mass = solid.mass(body.composition)
        add_mesh(maps, turn(solid.points), solid.faces, mass, view, samples=1 if solid.name in COARSE else 2)
    return np.maximum(maps, 0.0)
