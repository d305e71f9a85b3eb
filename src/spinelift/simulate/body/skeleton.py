"""The rest of the skeleton, carried along by the spine: ribs, shoulders, neck, skull, pelvis, limbs."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float
from spinelift.simulate.body.bones import Mesh, Template, make_mesh
from spinelift.simulate.body.physique import Physique
from spinelift.simulate.body.solids import Solid, Tissue, loft_mesh, shell
from spinelift.simulate.body.spine import PosedSpine


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
    angles = rng.normal(size=3) * np.array([x_deg, y_deg, z_deg])
    return np.asarray(Rotation.from_rotvec(np.radians(angles)).as_matrix())


def place_skeleton(
    template: Template, spine: PosedSpine, physique: Physique, rng: np.random.Generator, *, whole: bool
) -> tuple[list[Solid], Joints]:
    """Bones other than T1-L5, and the joints. Without ``whole`` those far from the trunk are left out."""
    s = physique.scale * rng.normal(1.0, 0.02)
    deep = smooth_frames(spine.frames, 3.0)
    solids: list[Solid] = []
    rib_cortex = float(np.exp(rng.normal(np.log(0.7), 0.35)))
    breath, spread = rng.normal(0, 3.0), np.array([s * rng.normal(1, 0.04), s * rng.normal(1, 0.07), s])
    for side, sign in (("L", 1), ("R", -1)):
        for i in range(12):
            bone = template.parts[f"rib_{side}{i + 1}"]
            turn = Rotation.from_rotvec(
                np.radians(
                    [breath + rng.normal(0, 1.5), sign * rng.normal(0, 2.0), sign * rng.normal(0, 1.5)]
                )
            ).as_matrix()
            mesh = _carried(bone, template, spine, deep, i, spread, turn, near_mm=35.0)
            solids += shell(
                f"rib_{side}{i + 1}",
                mesh,
                rib_cortex,
                cortex=Tissue.CORTEX,
                core=Tissue.RIB_TRABECULAR,
                displaces=Tissue.MUSCLE,
                density=float(np.exp(rng.normal(0, 0.1))),
            )
    front = _turn(rng, 2, 2, 2)
    cage = _carried(template.parts["sternum"], template, spine, deep, Vertebra.T6, spread, front, near_mm=0.0)
    calcified = float(rng.gamma(1.0, 0.6))
    solids.append(
        Solid("cartilage", cage.vertices, cage.faces, Tissue.CARTILAGE, Tissue.MUSCLE, 1.0 + calcified)
    )
    solids += _sternum(cage, s, rng)
    shrug = rng.normal(0, 12, 3) * np.array([0.5, 0.5, 1.0])
    shoulders = []
    for side, sign in (("L", 1), ("R", -1)):
        move = shrug + rng.normal(0, 5, 3)
        turn = _turn(rng, 5, 5, 4)
        pivot = None
        for name, cortex in ((f"clavicle_{side}", 1.2), (f"scapula_{side}", 0.7)):
            mesh = _carried(
                template.parts[name],
                template,
                spine,
                deep,
                Vertebra.T3,
                np.full(3, s),
                np.eye(3),
                near_mm=0.0,
            )
            points = mesh.vertices
            if pivot is None:  # the inner end of the clavicle stays at the sternum
                pivot = points[np.argmin(sign * points[:, 0])]
            points = (
                pivot + (points - pivot) @ turn.T + move * np.clip(np.abs(points - pivot)[:, [0]] / 120, 0, 1)
            )
            solids += _bone(name, make_mesh(points, mesh.faces), cortex, rng)
        shoulders.append(points[np.argmax(sign * points[:, 0] - points[:, 2])] + [sign * 4.0, 0, 28 * s])
    neck, vertex = _neck_and_head(template, spine, deep, s, rng)
    solids += neck
    pelvis, hips = _pelvis(template, spine, s, rng)
    solids += pelvis
    joints = _limb_joints(np.array(shoulders), hips, vertex, physique, s, rng)
    if whole:
        solids += _limbs(template, joints, s, rng)
    else:
        solids += _long_bone("humerus", joints.shoulder, joints.elbow, 11.5 * s, rng)
    return solids, joints


def _carried(
    bone: Mesh,
    template: Template,
    spine: PosedSpine,
    deep: Float,
    level: int,
    scale: Float,
    turn: Float,
    *,
    near_mm: float,
) -> Mesh:
    """A bone carried by a level: within ``near_mm`` of it by its own frame, beyond by the smoothed one."""
    q = (bone.vertices - template.centres[level]) @ template.frames[level] * scale
    near = spine.centres[level] + (q @ turn.T) @ spine.frames[level].T
    far = spine.centres[level] + (q @ turn.T) @ deep[level].T
    distance = np.linalg.norm(q, axis=1, keepdims=True)
    share = np.clip((distance - near_mm) / 60.0, 0, 1) if near_mm > 0 else np.ones_like(distance)
    return make_mesh(near * (1 - share) + far * share, bone.faces)


def _bone(name: str, mesh: Mesh, cortex_mm: float, rng: np.random.Generator) -> list[Solid]:
    return shell(
        name,
        mesh,
        cortex_mm * float(np.exp(rng.normal(0, 0.15))),
        cortex=Tissue.CORTEX,
        core=Tissue.LIMB_TRABECULAR,
        displaces=Tissue.MUSCLE,
    )


def _sternum(cage: Mesh, s: float, rng: np.random.Generator) -> list[Solid]:
    """Manubrium and body of the sternum, in front of the cartilages that ``cage`` holds."""
    v = cage.vertices
    middle = v[np.abs(v[:, 0] - np.median(v[:, 0])) < 25 * s]
    top, bottom = np.percentile(middle[:, 2], [2, 98])
    z = np.linspace(top, top + (bottom - top) * 0.72, 9)
    y = np.interp(z, *_column(middle))
    x = np.interp(z, [z[0], z[-1]], [np.median(v[:, 0])] * 2) + rng.normal(0, 3)
    half = np.array([24, 26, 20, 14, 15, 17, 18, 15, 7]) * s * rng.normal(1, 0.08)
    thick = np.full(9, 6.0 * s) * rng.normal(1, 0.1)
    mesh = loft_mesh(np.stack([x, y, z], 1), np.stack([half, thick], 1), segments=20, exponent=2.6)
    return shell(
        "sternum",
        mesh,
        float(np.exp(rng.normal(np.log(0.9), 0.3))),
        cortex=Tissue.CORTEX,
        core=Tissue.RIB_TRABECULAR,
        displaces=Tissue.MUSCLE,
    )


def _column(points: Float) -> tuple[Float, Float]:
    """Mean depth y of points in 12 bins of height z, for interpolation."""
    order = np.argsort(points[:, 2])
    parts = np.array_split(points[order], 12)
    return np.array([p[:, 2].mean() for p in parts]), np.array([p[:, 1].mean() for p in parts])


def _neck_and_head(
    template: Template, spine: PosedSpine, deep: Float, s: float, rng: np.random.Generator
) -> tuple[list[Solid], Float]:
    """C1 to C7, skull and jaw: following T1's frame below, nearly upright above; and the top of the head."""
    out: list[Solid] = []
    upright = _turn(rng, 5, 3, 4)
    names = [f"C{i}" for i in range(7, 0, -1)] + ["skull", "jaw"]
    for k, name in enumerate(names):
        bone = template.parts[name]
        q = (bone.vertices - template.centres[0]) * s
        follow = (q @ template.frames[0]) @ deep[0].T
        w = np.clip((k + 1) / 8, 0, 1)
        points = spine.centres[0] + follow * (1 - w) + (q @ upright.T) * w
        out += _bone(name, make_mesh(points, bone.faces), {"skull": 5.0, "jaw": 2.5}.get(name, 0.9), rng)
    skull = (template.parts["skull"].vertices - template.centres[0]) * s
    skull = spine.centres[0] + skull @ upright.T
    return out, np.array([skull[:, 0].mean(), skull[:, 1].mean(), skull[:, 2].min() - 6 * s])


def _pelvis(
    template: Template, spine: PosedSpine, s: float, rng: np.random.Generator
) -> tuple[list[Solid], Float]:
    """Sacrum and hip bones hung from L5, and the hip joints [2, 3]."""
    level = Vertebra.L5
    bottom = spine.ends[1]
    anchor = template.centres[level] + template.frames[level] @ np.array(
        [0, 0, template.vertebrae[level].size[2] / 2]
    )
    pitch = _pitch(spine.frames[level]) - _pitch(template.frames[level])
    turn = Rotation.from_euler("x", pitch * rng.uniform(0.3, 0.8)).as_matrix() @ _turn(rng, 5, 2.0, 2.0)
    scale = s * rng.normal(1, 0.04, 3)
    gap = spine.frames[level, :, 2] * rng.normal(-4, 2.5) * s

    # The package sets the hip bones too low: iliac crests stand at L4 to L4/L5, some 40 mm higher.
    lift = np.array([0.0, 0.0, -1.0]) * rng.normal(40, 9) * s

    def at(points: Float, raised: bool = True) -> Float:
        return np.asarray(bottom + gap + lift * raised + ((points - anchor) * scale) @ turn.T)

    out: list[Solid] = []
    for name, cortex in (("sacrum", 0.8), ("hip_L", 1.2), ("hip_R", 1.2)):
        bone = template.parts[name]
        out += _bone(name, make_mesh(at(bone.vertices, name != "sacrum"), bone.faces), cortex, rng)
    heads = np.array([template.parts[f"femur_{side}"].vertices for side in ("L", "R")])
    tops = []
    for k, sign in enumerate((1, -1)):
        v = heads[k]
        upper = v[v[:, 2] < v[:, 2].min() + 45]
        tops.append(upper[np.argsort(sign * upper[:, 0])[:20]].mean(0) + np.array([sign * 12.0, 0, 0]))
    return out, at(np.array(tops))


def _pitch(frame: Float) -> float:
    """Forward tilt of a frame's down axis in the sagittal plane, radians."""
    return float(np.arctan2(frame[1, 2], frame[2, 2]))


def _limb_joints(
    shoulders: Float, hips: Float, vertex: Float, physique: Physique, s: float, rng: np.random.Generator
) -> Joints:
    """Elbows, wrists, knees and ankles of a person who lies straight with the arms beside the trunk."""
    girth = (physique.bmi - 25) * 3.0
    out = np.array([1.0, -1.0])[:, None]
    abduction = np.radians(rng.normal(12, 4, (2, 1)))
    arm = np.concatenate([out * np.sin(abduction), np.zeros((2, 1)), np.cos(abduction)], 1)
    shoulders = shoulders + out * np.array([[girth * 0.4, 0, 0]])
    elbow = shoulders + arm * 300 * s + out * np.array([[girth * 0.4, 0, 0]])
    bend = np.radians(rng.normal(2, 6, (2, 1)))
    forearm = np.concatenate([out * np.sin(bend), np.zeros((2, 1)), np.cos(bend)], 1)
    wrist = elbow + forearm * 250 * s
    legs = np.radians(rng.normal(1.5, 2, (2, 1)))
    leg = np.concatenate([-out * np.sin(legs), np.zeros((2, 1)), np.cos(legs)], 1)
    knee = hips + leg * 425 * s
    ankle = knee + np.concatenate([0 * legs, 0 * legs, 1 + 0 * legs], 1) * 400 * s
    return Joints(shoulders, elbow, wrist, hips, knee, ankle, vertex)


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
        out += _bone(name, mesh, 0.0, rng)[:1]
        shaft = np.exp(-(((t - 0.5) / 0.33) ** 4))
        core = loft_mesh(line, np.stack([r, r * 0.9], 1) * (0.93 - 0.4 * shaft)[:, None], segments=16)
        out.append(Solid(name, core.vertices, core.faces, Tissue.LIMB_TRABECULAR, Tissue.CORTEX))
    return out


def _limbs(template: Template, joints: Joints, s: float, rng: np.random.Generator) -> list[Solid]:
    """Arms and legs with hands and feet."""
    out = _long_bone("humerus", joints.shoulder, joints.elbow, 11.5 * s, rng)
    offset = np.array([9.0, 0, 0]) * s
    out += _long_bone("ulna", joints.elbow - offset, joints.wrist - offset, 6.5 * s, rng, head=1.6)
    out += _long_bone("radius", joints.elbow + offset, joints.wrist + offset, 6.5 * s, rng, head=1.6)
    out += _long_bone("tibia", joints.knee + np.array([0, 0, 12 * s]), joints.ankle, 15 * s, rng, head=2.2)
    side = np.array([[28.0, 0, 0], [-28.0, 0, 0]]) * s
    out += _long_bone(
        "fibula", joints.knee + side + np.array([0, 0, 25 * s]), joints.ankle + side, 6 * s, rng, head=1.6
    )
    for k, name in enumerate(("L", "R")):
        bone = template.parts[f"femur_{name}"]
        v = bone.vertices
        sign = 1 - 2 * k
        upper = v[v[:, 2] < v[:, 2].min() + 45]
        top = upper[np.argsort(sign * upper[:, 0])[:20]].mean(0) + np.array([sign * 12.0, 0, 0])
        end = v[v[:, 2] > v[:, 2].max() - 25].mean(0)
        turn, _ = Rotation.align_vectors((joints.knee[k] - joints.hip[k])[None], (end - top)[None])
        points = joints.hip[k] + ((v - top) * s) @ turn.as_matrix().T
        out += shell(
            f"femur_{name}", make_mesh(points, bone.faces), 4.5 * s, cortex=Tissue.CORTEX,
            core=Tissue.LIMB_TRABECULAR, displaces=Tissue.MUSCLE, density=0.8,
        )  # fmt: skip
        for f in range(5):
            root = joints.wrist[k] + np.array([(f - 2) * 9.0, 0, 25]) * s
            tip = root + np.array([(f - 2) * 5.0, 0, 105 - 12 * abs(f - 2)]) * s
            out += _long_bone(
                "finger", root[None].repeat(2, 0), tip[None].repeat(2, 0), 3.8 * s, rng, head=1.3
            )[:2]
            root = joints.ankle[k] + np.array([(f - 2) * 11.0, -30, 15]) * s
            tip = root + np.array([(f - 2) * 4.0, -60, 55]) * s
            out += _long_bone("toe", root[None].repeat(2, 0), tip[None].repeat(2, 0), 5.5 * s, rng, head=1.3)[
                :2
            ]
        heel = joints.ankle[k] + np.array([[0, 0, -5], [0, 5, 12], [0, 10, 30], [0, 10, 48]]) * s
        out += _bone(
            "heel", loft_mesh(heel, np.array([[18, 20], [26, 30], [26, 32], [10, 12]]) * s), 1.5, rng
        )
    return out
