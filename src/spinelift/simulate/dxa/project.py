"""Projection of closed meshes: mass along each ray as a sum of signed triangle depths.

For a closed surface the path length of a ray inside it is the sum over the triangles that it crosses of
the depth of the crossing, positive where the ray leaves and negative where it enters. Every pixel
averages S × S rays. Nested and overlapping solids simply add up, each with its own density difference.
"""

import numpy as np

from spinelift.geometry import PixelGrid
from spinelift.geometry.arrays import Float, Int32
from spinelift.simulate.body.body import Body
from spinelift.simulate.body.solids import MATERIALS
from spinelift.simulate.kernels import numba

COARSE = {"skin", "trunk wall", "cavity", "lung", "liver", "heart", "head"}
COARSE |= {"arm", "leg", "arm muscle", "leg muscle"}
"""Large smooth solids, for which one ray a pixel is enough."""
ARMS = {"arm", "arm muscle", "humerus", "ulna", "radius", "finger"}
"""Solids that are out of the way when the arms are raised."""


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def _accumulate(image, points, faces, mass, u0, z0, du, dz, samples):  # type: ignore[no-untyped-def]
    channels, height, width = image.shape
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        au, az = (points[a, 0] - u0) / du, (points[a, 2] - z0) / dz
        bu, bz = (points[b, 0] - u0) / du, (points[b, 2] - z0) / dz
        cu, cz = (points[c, 0] - u0) / du, (points[c, 2] - z0) / dz
        area = (bu - au) * (cz - az) - (cu - au) * (bz - az)
        if abs(area) < 1e-9:
            continue
        i0 = max(0, int(np.floor(min(az, bz, cz) + 0.5)))
        i1 = min(height - 1, int(np.ceil(max(az, bz, cz) - 0.5)))
        j0 = max(0, int(np.floor(min(au, bu, cu) + 0.5)))
        j1 = min(width - 1, int(np.ceil(max(au, bu, cu) - 0.5)))
        if i0 > i1 or j0 > j1:
            continue
        ya, yb, yc = points[a, 1], points[b, 1], points[c, 1]
        # Faces are wound outward in axes taken as right-handed: area > 0 then means a normal along -y.
        sign = -1.0 if area > 0 else 1.0
        inverse = 1.0 / area
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                depth = 0.0
                for si in range(samples):
                    z = i - 0.5 + (si + 0.5) / samples
                    for sj in range(samples):
                        u = j - 0.5 + (sj + 0.5) / samples
                        wa = ((bu - u) * (cz - z) - (cu - u) * (bz - z)) * inverse
                        wb = ((cu - u) * (az - z) - (au - u) * (cz - z)) * inverse
                        wc = 1.0 - wa - wb
                        if wa >= 0 and wb >= 0 and wc >= 0:
                            depth += wa * ya + wb * yb + wc * yc
                if depth != 0.0:
                    depth *= sign / (samples * samples)
                    for k in range(channels):
                        image[k, i, j] += depth * mass[k]


def add_mesh(
    image: Float, points: Float, faces: Int32, mass: Float, view: PixelGrid, *, samples: int = 2
) -> None:
    """Add a closed mesh to ``image`` [channels, rows, cols], whose pixels are those of ``view``, in place.

    ``points`` [v, 3] are (u, depth, z) in mm, ``mass`` [channels] is what a millimetre of the solid adds.
    """
    centred = np.array(points, np.float64)
    centred[:, 1] -= centred[:, 1].mean()
    pixel = (view.spacing.col_mm, view.spacing.row_mm)
    _accumulate(image, centred, faces, np.asarray(mass, np.float64), *view.origin_mm, *pixel, samples)


def project(body: Body, view: PixelGrid, *, side: bool = False) -> Float:
    """Maps of bone, lean and fat [3, rows, cols] in g/cm², rays from back to front.

    With ``side`` rays go from the patient's right to the left, and columns grow to posterior.
    """
    maps = np.zeros((len(MATERIALS), *view.shape))
    for solid in body.solids:
        points = solid.points[:, [1, 0, 2]] * np.array([1.0, -1.0, 1.0]) if side else solid.points
        samples = 1 if solid.name in COARSE else 2
        add_mesh(maps, points, solid.faces, solid.mass(body.composition), view, samples=samples)
    return np.maximum(maps, 0.0)
