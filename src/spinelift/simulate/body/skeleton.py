"""The rest of the skeleton, carried along by the spine: ribs, shoulders, neck, skull, pelvis, limbs."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.simulate.body.bones import Mesh, Template, make_mesh
from spinelift.simulate.body.links import RIBS, sample_links
from spinelift.simulate.body.pelvis import femoral_head, place_pelvis
from spinelift.simulate.body.physique import Physique
from spinelift.simulate.body.solids import Solid, Tissue, limb_bone, loft, loft_mesh, shell
from spinelift.simulate.body.spine import PosedSpine, inclination_deg


@dataclass(frozen=True)
class Joints:
    """Where limbs begin and bend, mm [2, 3] each, patient's left first, and the top of the head [3]."""

    shoulder: Float
    elbow: Float
    wrist: Float
    hip: Float
    knee: Float
    ankle: Float
    vertex: Float


def smooth_frames(frames: Float, sigma: float) -> Float:
    """Frames [17, 3, 3] averaged over neighbouring levels and made orthonormal again."""
    mean = gaussian_filter1d(frames, sigma, axis=0, mode="nearest")
    u, _, vt = np.linalg.svd(mean)
    return np.asarray(u @ vt)


def _turn(rng: np.random.Generator, x_deg: float, y_deg: float, z_deg: float) -> Float:
    """A small random rotation; standard deviations about x, y and z in degrees."""
    return _rotation(rng.normal(size=3) * np.array([x_deg, y_deg, z_deg]))


def _rotation(degrees: Float | list[float]) -> Float:
    return Rotation.from_rotvec(np.radians(degrees)).as_matrix()


def place_skeleton(
    template: Template, spine: PosedSpine, physique: Physique, rng: np.random.Generator, *, whole: bool
) -> tuple[list[Solid], Joints]:
    """Bones other than T1-L5, and the joints. Without ``whole`` those far from the trunk are left out.

    How they hang on the spine is drawn by `links.sample_links`.
    """
    s = physique.scale * rng.normal(1.0, 0.02)
    links = sample_links(spine, rng)
    deep = smooth_frames(spine.frames, 3.0)
    held_deg = (1 - links.follow) * (inclination_deg(deep) - inclination_deg(template.frames))[:RIBS]
    turn_deg = links.rib_turn_deg + held_deg
    carried = partial(_carried, template, spine, deep)
    solids: list[Solid] = []
    rib_cortex = float(np.exp(rng.normal(np.log(0.7), 0.35)))
    spread = np.array([s * rng.normal(1, 0.04), s * rng.normal(1, 0.07), s])
    for k, (side, sign) in enumerate((("L", 1), ("R", -1))):
        for i in range(RIBS):
            angles = [turn_deg[i] + rng.normal(0, 1.5), sign * rng.normal(0, 2.0), sign * rng.normal(0, 1.5)]
            density = float(np.exp(rng.normal(0, 0.1)))
            if length := links.rib_length[k, i]:
                name, height = f"rib_{side}{i + 1}", links.rib_height_mm[i]
                mesh = carried(
                    name, i, spread, _rotation(angles), near_mm=35.0, length=length, height_mm=height
                )
                solids += shell(name, mesh, rib_cortex, Tissue.RIB_TRABECULAR, density=density)
        if length := links.cervical_rib[k]:
            height = spine.centres[0, 2] - spine.centres[1, 2]
            mesh = carried(f"rib_{side}1", 0, spread, np.eye(3), length=length, height_mm=height)
            solids += shell(f"cervical_rib_{side}", mesh, rib_cortex, Tissue.RIB_TRABECULAR)
    front = _rotation([turn_deg[:7].mean(), 0, 0])
    cage = carried("sternum", Vertebra.T6, spread, front @ _turn(rng, 2, 2, 2))
    density = 1.0 + float(rng.gamma(1.0, 0.6))  # calcified
    solids.append(Solid("cartilage", cage.vertices, cage.faces, Tissue.CARTILAGE, Tissue.MUSCLE, density))
    solids += _sternum(cage, s, rng)
    shrug = rng.normal(0, 12, 3) * np.array([0.5, 0.5, 1.0])
    first = _rotation([turn_deg[:4].mean(), 0, 0])
    shoulders = []
    for side, sign in (("L", 1), ("R", -1)):
        move = shrug + rng.normal(0, 5, 3)
        turn = _turn(rng, 5, 5, 4)
        pivot = None
        for name, cortex in ((f"clavicle_{side}", 1.2), (f"scapula_{side}", 0.7)):
            mesh = carried(name, Vertebra.T3, np.full(3, s), first)
            points = mesh.vertices
            if pivot is None:  # the inner end of the clavicle stays at the sternum
                pivot = points[np.argmin(sign * points[:, 0])]
            arm = points - pivot
            points = pivot + arm @ turn.T + move * np.clip(np.abs(arm)[:, [0]] / 120, 0, 1)
            solids += limb_bone(name, make_mesh(points, mesh.faces), cortex, rng)
        shoulders.append(points[np.argmax(sign * points[:, 0] - points[:, 2])] + [sign * 4.0, 0, 28 * s])
    neck_frame = deep[0] @ _rotation([links.neck_turn_deg, 0, 0])
    neck, vertex = _neck_and_head(template, spine, neck_frame, s, rng)
    solids += neck
    pelvis, hips = place_pelvis(template, spine, links, s, rng)
    solids += pelvis
    joints = _limb_joints(np.array(shoulders), hips, vertex, physique, s, rng)
    if whole:
        solids += _limbs(template, joints, s, rng)
    else:
        solids += _long_bone("humerus", joints.shoulder, joints.elbow, 11.5 * s, rng)
    return solids, joints


def _carried(
    template: Template,
    spine: PosedSpine,
    deep: Float,
    name: str,
    level: int,
    scale: Float,
    turn: Float,
    *,
    near_mm: float = 0.0,
    length: float = 1.0,
    height_mm: float = 0.0,
) -> Mesh:
    """A bone carried by a level: within ``near_mm`` of it by its own frame, beyond by the ``deep`` one.

    ``length`` scales it about its point next to the level's centre; ``height_mm`` shifts it to the feet.
    """
    bone = template.parts[name]
    q = (bone.vertices - template.centres[level]) @ template.frames[level] * scale
    joint = q[np.argmin(np.linalg.norm(q, axis=1))]
    q = joint + (q - joint) * length
    near = spine.centres[level] + (q @ turn.T) @ spine.frames[level].T
    far = spine.centres[level] + (q @ turn.T) @ deep[level].T
    distance = np.linalg.norm(q, axis=1, keepdims=True)
    share = np.clip((distance - near_mm) / 60.0, 0, 1) if near_mm > 0 else np.ones_like(distance)
    return make_mesh(near * (1 - share) + far * share + [0.0, 0.0, height_mm], bone.faces)


def _sternum(cage: Mesh, s: float, rng: np.random.Generator) -> list[Solid]:
    """Manubrium and body of the sternum, in front of the cartilages that ``cage`` holds."""
    v = cage.vertices
    middle = v[np.abs(v[:, 0] - np.median(v[:, 0])) < 25 * s]
    top, bottom = np.percentile(middle[:, 2], [2, 98])
    z = np.linspace(top, top + (bottom - top) * 0.72, 9)
    bins = np.array_split(middle[np.argsort(middle[:, 2])], 12)
    y = np.interp(z, [b[:, 2].mean() for b in bins], [b[:, 1].mean() for b in bins])
    x = np.full(9, np.median(v[:, 0]) + rng.normal(0, 3))
    half = np.array([24, 26, 20, 14, 15, 17, 18, 15, 7]) * s * rng.normal(1, 0.08)
    thick = np.full(9, 6.0 * s) * rng.normal(1, 0.1)
    mesh = loft_mesh(np.stack([x, y, z], 1), np.stack([half, thick], 1), segments=20, exponent=2.6)
    return shell("sternum", mesh, float(np.exp(rng.normal(np.log(0.9), 0.3))), Tissue.RIB_TRABECULAR)


def _neck_and_head(
    template: Template, spine: PosedSpine, frame: Float, s: float, rng: np.random.Generator
) -> tuple[list[Solid], Float]:
    """C1 to C7, skull and jaw: following ``frame`` below, nearly upright above; and the top of the head."""
    out: list[Solid] = []
    upright = _turn(rng, 5, 3, 4)
    names = [f"C{i}" for i in range(7, 0, -1)] + ["skull", "jaw"]
    for k, name in enumerate(names):
        bone = template.parts[name]
        q = (bone.vertices - template.centres[0]) * s
        w = np.clip((k + 1) / 8, 0, 1)
        points = spine.centres[0] + (q @ template.frames[0]) @ frame.T * (1 - w) + (q @ upright.T) * w
        out += limb_bone(name, make_mesh(points, bone.faces), {"skull": 5.0, "jaw": 2.5}.get(name, 0.9), rng)
    skull = (template.parts["skull"].vertices - template.centres[0]) * s
    skull = spine.centres[0] + skull @ upright.T
    return out, np.array([skull[:, 0].mean(), skull[:, 1].mean(), skull[:, 2].min() - 6 * s])


def _limb_joints(
    shoulders: Float, hips: Float, vertex: Float, physique: Physique, s: float, rng: np.random.Generator
) -> Joints:
    """Elbows, wrists, knees and ankles of a person who lies straight with the arms beside the trunk."""
    girth = (physique.bmi - 25) * 3.0
    out = np.array([1.0, -1.0])[:, None]

    def away(mean_deg: float, sd_deg: float) -> Float:
        """Unit vectors [2, 3] to the feet, turned outwards by a random angle."""
        angle = np.radians(rng.normal(mean_deg, sd_deg, (2, 1)))
        return np.concatenate([out * np.sin(angle), np.zeros((2, 1)), np.cos(angle)], 1)

    aside = out * np.array([[girth * 0.4, 0, 0]])
    shoulders = shoulders + aside
    elbow = shoulders + away(12, 4) * 300 * s + aside
    wrist = elbow + away(2, 6) * 250 * s
    knee = hips + away(1.5, 2) * [-1, 1, 1] * 425 * s  # knees stand closer than hips
    return Joints(shoulders, elbow, wrist, hips, knee, knee + np.array([0, 0, 400 * s]), vertex)


def _long_bone(
    name: str, start: Float, end: Float, radius: float, rng: np.random.Generator, *, head: float = 1.9
) -> list[Solid]:
    """A shaft with a thick cortex and wider ends, on both sides; ``start`` and ``end`` are [2, 3]."""
    out: list[Solid] = []
    t = np.array([-0.06, -0.02, 0.03, 0.1, 0.2, 0.5, 0.8, 0.9, 0.97, 1.01, 1.04])
    shape = np.array([0.5, 0.95, 1.0, 0.75, 0.58, 0.52, 0.58, 0.8, 1.0, 0.9, 0.4]) * head
    for k in range(2):
        line = start[k] + t[:, None] * (end[k] - start[k])
        r = radius * shape * rng.normal(1, 0.04)
        mesh = loft_mesh(line, np.stack([r, r * 0.9], 1), segments=16)
        out += limb_bone(name, mesh, 0.0, rng)[:1]
        shaft = np.exp(-(((t - 0.5) / 0.33) ** 4))
        core = loft(line, np.stack([r, r * 0.9], 1) * (0.93 - 0.4 * shaft)[:, None], segments=16)
        out.append(Solid(name, *core, Tissue.LIMB_TRABECULAR, Tissue.CORTEX))
    return out


def _limbs(template: Template, joints: Joints, s: float, rng: np.random.Generator) -> list[Solid]:
    """Arms and legs with hands and feet."""
    out = _long_bone("humerus", joints.shoulder, joints.elbow, 11.5 * s, rng)
    offset = np.array([9.0, 0, 0]) * s
    out += _long_bone("ulna", joints.elbow - offset, joints.wrist - offset, 6.5 * s, rng, head=1.6)
    out += _long_bone("radius", joints.elbow + offset, joints.wrist + offset, 6.5 * s, rng, head=1.6)
    out += _long_bone("tibia", joints.knee + np.array([0, 0, 12 * s]), joints.ankle, 15 * s, rng, head=2.2)
    low, side = np.array([0, 0, 25 * s]), np.array([[28.0, 0, 0], [-28.0, 0, 0]]) * s
    out += _long_bone("fibula", joints.knee + side + low, joints.ankle + side, 6 * s, rng, head=1.6)
    for k, (name, sign) in enumerate((("femur_L", 1), ("femur_R", -1))):
        bone = template.parts[name]
        top, v = femoral_head(bone, sign), bone.vertices
        end = v[v[:, 2] > v[:, 2].max() - 25].mean(0)
        turn, _ = Rotation.align_vectors((joints.knee[k] - joints.hip[k])[None], (end - top)[None])
        mesh = make_mesh(joints.hip[k] + ((v - top) * s) @ turn.as_matrix().T, bone.faces)
        out += shell(name, mesh, 4.5 * s, Tissue.LIMB_TRABECULAR, density=0.8)
        for f in range(-2, 3):
            for kind, joint, start, reach, radius in (
                ("finger", joints.wrist[k], (f * 9.0, 0, 25), (f * 5.0, 0, 105 - 12 * abs(f)), 3.8 * s),
                ("toe", joints.ankle[k], (f * 11.0, -30, 15), (f * 4.0, -60, 55), 5.5 * s),
            ):
                root = joint + np.array(start) * s
                tip = root + np.array(reach) * s
                root, tip = np.stack([root, root]), np.stack([tip, tip])
                out += _long_bone(kind, root, tip, radius, rng, head=1.3)[:2]
        heel = joints.ankle[k] + np.array([[0, 0, -5], [0, 5, 12], [0, 10, 30], [0, 10, 48]]) * s
        half = np.array([[18, 20], [26, 30], [26, 32], [10, 12]]) * s
        out += limb_bone("heel", loft_mesh(heel, half), 1.5, rng)
    return out
