"""Sacrum, hip bones and hip joints, and the alae of a transitional lumbosacral vertebra."""

import numpy as np
from scipy.spatial.transform import Rotation

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.simulate.body.bones import Mesh, Template, make_mesh
from spinelift.simulate.body.links import Links
from spinelift.simulate.body.solids import Solid, limb_bone, loft_mesh
from spinelift.simulate.body.spine import PosedSpine


def place_pelvis(
    template: Template, spine: PosedSpine, links: Links, s: float, rng: np.random.Generator
) -> tuple[list[Solid], Float]:
    """Sacrum and hip bones hung from L5, and the hip joints [2, 3].

    The sacrum turns by the sacral slope and the hip bones by the pelvic tilt, both about the middle of the
    sacral plate; the angle between them is the pelvic incidence.
    """
    level = Vertebra.L5
    below = np.array([0, 0, template.vertebrae[level].size[2] / 2])
    anchor = template.centres[level] + template.frames[level] @ below
    askew = rng.normal(0, 2.0, 2)
    scale = s * rng.normal(1, 0.04, 3)
    gap = spine.frames[level, :, 2] * links.sacrum_gap_mm * s
    # The package sets the hip bones too low: iliac crests stand at L4 to L4/L5, some 40 mm higher.
    lift = np.array([0.0, 0.0, -links.crest_mm]) * s

    def at(points: Float, turn_deg: float, shift: Float) -> Float:
        turn = Rotation.from_rotvec([turn_deg, *askew], degrees=True).as_matrix()
        return np.asarray(spine.ends[1] + gap + shift + ((points - anchor) * scale) @ turn.T)

    bone = template.parts["sacrum"]
    sacrum = make_mesh(at(bone.vertices, links.sacrum_turn_deg, np.zeros(3)), bone.faces)
    out = limb_bone("sacrum", sacrum, 0.8, rng)
    for name in ("hip_L", "hip_R"):
        bone = template.parts[name]
        mesh = make_mesh(at(bone.vertices, links.hips_turn_deg, lift), bone.faces)
        out += limb_bone(name, mesh, 1.2, rng)
    for name, sign, present in zip(("ala_L", "ala_R"), (1, -1), links.ala, strict=True):
        mesh = _ala(spine, sacrum, sign, s, rng)
        out += limb_bone(name, mesh, 0.8, rng) if present else []
    heads = [femoral_head(template.parts[f"femur_{side}"], sign) for side, sign in (("L", 1), ("R", -1))]
    return out, at(np.array(heads), links.hips_turn_deg, lift)


def _ala(spine: PosedSpine, sacrum: Mesh, sign: int, s: float, rng: np.random.Generator) -> Mesh:
    """A broad transverse process of L5 that reaches the sacrum, as in Castellvi's types II and III."""
    size, centre = spine.size[Vertebra.L5], spine.centres[Vertebra.L5]
    v = sacrum.vertices
    wing = v[(sign * v[:, 0] > sign * centre[0] + 30 * s) & (v[:, 2] < v[:, 2].min() + 35 * s)]
    low = wing.mean(0) if len(wing) else centre + np.array([sign * 38, 12, 30]) * s
    high = centre + np.array([sign * (size[0] / 2 + 12 * s), size[1] / 2, -rng.uniform(0, 5) * s])
    low = np.array([low[0], low[1], max(low[2], high[2] + 15 * s)])
    t = np.linspace(0, 1, 7)[:, None]
    half = np.array([[5, 4], [11, 7], [14, 9], [15, 10], [15, 10], [13, 9], [8, 6]]) * s * rng.normal(1, 0.1)
    return loft_mesh(high + t * (low - high), half, segments=16)


def femoral_head(femur: Mesh, sign: int) -> Float:
    """Centre [3] of the head of a femur of the left (``sign`` 1) or right side (-1)."""
    upper = femur.vertices[femur.vertices[:, 2] < femur.vertices[:, 2].min() + 45]
    innermost = np.argsort(sign * upper[:, 0])[:20]
    return np.asarray(upper[innermost].mean(0) + np.array([sign * 12.0, 0, 0]))
