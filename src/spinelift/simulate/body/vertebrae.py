"""Vertebrae of one person: the template morphed to size, varied in shape, put in place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.bones import Template, make_mesh
from spinelift.simulate.body.donors import DonorVertebra, fit_vertebra, mirrored, sample_donor_styles
from spinelift.simulate.body.physique import Physique
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.solids import Solid, Tissue, ellipsoid, shell
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.body.warp import Warp, sample_warps

SPINOUS_DROOP: Float = np.array([0.4, 0.6, 0.8, 1.0, 1.2, 1.3, 1.3, 1.2, 1.0, 0.7, 0.5, 0.35] + [0.25] * 5)
"""Tangent of the angle by which a spinous process points to the feet [17]: set by hand."""

ARCH_WARP_MM: Float = np.array([1.0, 1.2, 2.0])
"""Standard deviation of the free-form differences between people's arches (left, posterior, down)."""
SPREAD_LOG = 0.35
"""Some people's arches differ more from the usual than others': standard deviation of the log of how much."""

CONCAVITY = 0.08
"""Mean relative depth of the template's hollow endplates; donors have their own."""
DONOR_CORTEX, DONOR_CORTEX_SD = 1.5, 0.25
"""Cortex of a donor's arch over that of the template's, whose added masses donors lack: geometric mean, and
standard deviation of the log between people. On CT the arch holds 1.55 times as much mineral, relative to
the body, as the template's shell."""


@dataclass(frozen=True)
class VertebraStyle:
    """How one vertebra differs in shape from the template; lengths in mm, angles as tangents."""

    posterior_length: float
    posterior_width: float
    posterior_height: float
    arch_slope: float
    spinous_length: float
    spinous_lean: float
    spinous_droop: float
    transverse_length: float
    transverse_slope: float
    transverse_thickness: float
    wedge: float
    concavity: float
    lipping: float
    waves: Float
    cortex_body_mm: float
    endplate: float
    cortex_arch_mm: float
    pillar: float
    facets: float
    spinous: float
    arch_shift: float
    shifts: Float
    density: float
    warp: Warp


def sample_styles(
    physique: Physique, rng: np.random.Generator, *, spread: float = 1.0
) -> list[VertebraStyle]:
    """Shapes of the 17 vertebrae of a person: a common part, and a part for each level.

    ``spread`` multiplies the standard deviations of what arches look like.
    """
    age = (physique.age - 60) / 10
    spread = spread * float(np.exp(rng.normal(0, SPREAD_LOG)))

    def both(person: float, level: float) -> Float:
        return np.asarray(rng.normal(0, person) + rng.normal(0, level, N_LEVELS))

    def along(common: float, slow: float, level: float) -> Float:
        """The same, and a part that changes slowly from level to level."""
        return spread * (both(common, level) + rng.normal(0, slow, 3) @ waves)

    waves = np.cos(np.pi * np.arange(1, 4)[:, None] * np.linspace(0, 1, N_LEVELS)) / np.arange(1, 4)[:, None]
    chest = 1 / (1 + np.exp((np.arange(N_LEVELS) - 10.5) / 1.2))  # 1 in the thoracic, 0 in the lumbar spine
    levels = {
        "posterior_length": np.clip(1 + along(0.12, 0.06, 0.03), 0.65, 1.4),
        "posterior_width": np.clip(1 + along(0.05, 0.03, 0.03), 0.7, 1.3),
        "posterior_height": 1 + both(0.05, 0.04),
        "arch_slope": along(0.14, 0.14, 0.035),
        "spinous_length": np.clip(1 + along(0.08, 0.05, 0.08), 0.6, 1.4),
        "spinous_droop": along(0.12, 0.08, 0.06),
        "spinous_lean": both(0.0, 0.05),
        "transverse_length": 1 + both(0.07, 0.06),
        "transverse_slope": both(0.08, 0.08),
        "facets": (0.5 - 0.22 * chest) * np.exp(along(0.4, 0.15, 0.1)),
        "spinous": 0.22 * np.exp(along(0.6, 0.3, 0.15)),
        "arch_shift": along(2.2, 2.5, 0.5),
    }
    shifts = rng.normal(0, [1.0, 2.0, 2.5], (3, 3))
    levels |= {
        "pillar": np.clip((0.75 - 0.45 * chest) * np.exp(along(0.35, 0.15, 0.1)), 0.05, 1.6),
        "transverse_thickness": np.clip(0.55 + both(0.12, 0.05), 0.3, 1.0),
        "wedge": morphometry.WEDGE + along(0.015, 0.02, 0.015),
        "concavity": np.abs(CONCAVITY + both(0.03, 0.02)),
        "lipping": np.clip(0.02 * (age + 1) + both(0.03, 0.02), 0, 0.15),
    }
    fractured = rng.random(N_LEVELS) < np.exp(-4.6 + 0.4 * age)
    levels["wedge"] += fractured * rng.uniform(0.1, 0.3, N_LEVELS)
    levels["concavity"] += fractured * rng.uniform(0.0, 0.15, N_LEVELS)
    levels |= {
        "cortex_body_mm": 0.28 * np.exp(both(0.3, 0.06)),
        "cortex_arch_mm": (1.1 - 0.5 * chest) * np.exp(along(0.28, 0.12, 0.08)),
        "endplate": 1.5 * np.exp(both(0.3, 0.1)),
        "density": np.exp(0.15 * chest + along(0.0, 0.12, 0.05)),
    }
    warps = sample_warps(N_LEVELS, spread * ARCH_WARP_MM, rng)
    return [
        VertebraStyle(
            **{name: float(values[i]) for name, values in levels.items()},
            waves=rng.normal(0, 0.35, (3, 3, 3)),
            shifts=shifts + rng.normal(0, 0.4, shifts.shape),
            warp=warps[i],
        )
        for i in range(N_LEVELS)
    ]


def morph(
    local: Float, size0: Float, level: int, size: Float, scale: float, pitch: float, style: VertebraStyle
) -> Float:
    """Points [n, 3] (left, posterior, down) of a body of ``size0`` → of a body of ``size`` [3] mm, own frame.

    ``scale`` is the person's size over the reference adult's, ``pitch`` the spacing of the person's
    vertebrae over the template's: it scales the arch's height, so that facets still meet.
    """
    w0, d0, h0 = size0
    w, d, h = size
    u, v, z = local.T
    back = _step(v - d0 / 2 - 1.5, 1.5)
    behind = np.maximum(v - d0 / 2, 0.0)
    # The body: box to box, then waist, hollow endplates, wedge and lips.
    bu, bv, bz = u * w / w0, v * d / d0, z * h / h0
    height = np.clip(2 * np.abs(bz) / h, 0, 1)
    radius = np.clip((2 * bu / w) ** 2 + (2 * bv / d) ** 2, 0, 1)
    ring = 1 - morphometry.WAIST * (1 - height**2) + style.lipping * height**6
    bu, bv = bu * ring, bv * ring
    bz = bz * (1 - style.concavity * (1 - radius)) * (1 + style.wedge * (2 * bv / d))
    # The arch: pedicles to their width, transverse and spinous processes to their length.
    inner0, outer0 = 0.42 * w0, float(np.abs(u[back > 0.5]).max())
    inner = 0.95 * morphometry.PEDICLE_REACH[level] * scale * style.posterior_width
    outer = morphometry.TRANSVERSE_SPAN[level] / 2 * scale * style.transverse_length
    beyond = np.maximum(np.abs(u) - inner0, 0.0)
    within = np.minimum(np.abs(u), inner0) * inner / inner0
    au = np.sign(u) * (within + beyond * (outer - inner) / (outer0 - inner0))
    spinous = np.exp(-((u / 6.0) ** 2)) * _step(behind - 16, 3.0)
    tip = int(np.argmax(behind - 20 * np.abs(u)))
    length0 = float(np.hypot(behind[tip], z[tip] + h0 / 2))
    longer = morphometry.SPINOUS_LENGTH[level] * scale * style.spinous_length / length0
    reach = behind * (pitch * style.posterior_length * (1 - spinous) + longer * spinous)
    arm = _step(beyond - 2.0, 2.0)
    if (flat := back * arm).sum() > 1:  # the template's transverse processes are too thick
        middle = float((flat * reach).sum() / flat.sum())
        reach = reach + arm * (style.transverse_thickness - 1) * (reach - middle)
    au = au + spinous * style.spinous_lean * behind
    az = z * pitch * style.posterior_height + style.arch_slope * reach + style.arch_shift
    az = az + style.transverse_slope * beyond + style.spinous_droop * spinous * np.maximum(behind - 16, 0.0)
    arch = np.stack([au, d / 2 + reach, az], 1)
    arch = arch + style.warp.at(arch)
    out = np.stack([bu, bv, bz], 1) * (1 - back[:, None]) + arch * back[:, None]
    # Slow, small waves over the whole bone.
    phase = np.stack([np.sin(out[:, [k]] * np.array([0.12, 0.2, 0.3]) + k) for k in range(3)], 2)
    return np.asarray(out + np.einsum("nfk,fkc->nc", phase, style.waves) * 0.8)


def _step(x: Float, width: float) -> Float:
    """Smooth step from 0 to 1 around x = 0."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x / width, -30, 30))))


def cortex_mm(local: Float, size: Float, style: VertebraStyle) -> Float:
    """Thickness of the cortex at points [n, 3] of a vertebra in its own frame, mm [n].

    Thin around the body and on the transverse processes, thicker at the endplates, thick where the joints
    bear: pedicles, articular processes and the pillars between them.
    """
    across = np.abs(local[:, 0])
    behind = np.clip((local[:, 1] - size[1] / 2) / 5 + 0.5, 0, 1)
    pillar = np.exp(-(((across - 0.33 * size[0]) / 6.5) ** 2))
    arm = _step(across - 0.52 * size[0], 2.0)
    arch = style.cortex_arch_mm * (0.45 + style.pillar * pillar) * (1 - 0.7 * arm)
    end = _step(np.abs(local[:, 2]) - 0.4 * size[2], 0.6)
    body = style.cortex_body_mm * (1 + (style.endplate - 1) * end)
    return np.asarray(body * (1 - behind) + arch * behind)


def place_vertebrae(
    template: Template,
    donors: Sequence[DonorVertebra | None],
    spine: PosedSpine,
    physique: Physique,
    rng: np.random.Generator,
    *,
    spread: float,
) -> list[Solid]:
    """All 17 vertebrae as shells of cortex around trabecular bone, in place.

    ``donors`` [17] are whose shapes they have, None for the template's. Half of the people have the mirrored
    shapes.
    """
    steps = np.linalg.norm(np.gradient(spine.centres, axis=0), axis=1)
    usual = np.linalg.norm(np.gradient(template.centres, axis=0), axis=1)
    styles = sample_styles(physique, rng, spread=spread)
    fits = sample_donor_styles(donors, spine, rng, spread=spread)
    mirror = rng.random() < 0.5
    arch = DONOR_CORTEX * np.exp(rng.normal(0, DONOR_CORTEX_SD) + rng.normal(0, 0.06, N_LEVELS))
    solids: list[Solid] = []
    for i, (style, fit, donor) in enumerate(zip(styles, fits, donors, strict=True)):
        size, pitch = spine.size[i], float(steps[i])
        if donor is None:
            bone = template.vertebrae[i]
            faces = bone.mesh.faces
            local = morph(
                bone.mesh.vertices, bone.size, i, size, physique.scale, float(pitch / usual[i]), style
            )
        else:
            own = replace(donor, mesh=mirrored(donor.mesh)) if mirror else donor
            faces = own.mesh.faces
            fit = replace(
                fit,
                wedge=style.wedge - float(morphometry.WEDGE[i]),
                concavity=style.concavity - CONCAVITY,
                lipping=0.5 * style.lipping,
            )
            local = fit_vertebra(own, size, fit)
            style = replace(style, cortex_arch_mm=float(style.cortex_arch_mm * arch[i]))
        mesh = make_mesh(spine.centres[i] + local @ spine.frames[i].T, faces)
        core, cortex = Tissue.SPINE_TRABECULAR, Tissue.SPINE_CORTEX
        thickness = cortex_mm(local, size, style)
        solids += shell(f"vertebra_{i}", mesh, thickness, core, cortex=cortex, density=style.density)
        if donor is None:
            solids += _arch_masses(i, spine, pitch, style, rng)
    return solids


def _arch_masses(
    level: int, spine: PosedSpine, pitch: float, style: VertebraStyle, rng: np.random.Generator
) -> list[Solid]:
    """What makes real arches a chain from level to level and the template lacks: articular processes that
    reach past the discs above and below, laminae that overlap like shingles, and the dense spinous process,
    whose whole length a frontal ray passes through.

    Ellipsoids in the vertebra's own frame; ``pitch`` is the distance to the next vertebra, mm.
    """
    centre, frame, size = spine.centres[level], spine.frames[level], spine.size[level]
    u = 0.33 * size[0] * style.posterior_width
    v = size[1] / 2 + 0.42 * size[1] * style.posterior_length
    bumps = []
    for side in (-1, 1):
        bumps.append(((side * u * 0.92, v + 4, 0.52 * pitch), (5.0, 5.5, 0.33 * pitch)))
        bumps.append(((side * (u + 2.5), v - 3, -0.42 * pitch), (4.8, 5.0, 0.24 * pitch)))
        bumps.append(((side * u * 0.5, v + 6, 0.18 * pitch), (0.42 * u, 3.2, 0.36 * pitch)))
    out = []
    droop = SPINOUS_DROOP[level] + style.spinous_droop
    long = 0.36 * morphometry.SPINOUS_LENGTH[level] * style.spinous_length / np.hypot(1, droop)
    bumps.append(((0.0, v + 4 + long, 0.2 * pitch + long * droop), (2.7, long, 0.2 * pitch)))
    for kind, (place, radii) in enumerate(bumps):
        joint = kind < 6
        move = style.shifts[kind % 3 if joint else 2] * np.array([np.sign(place[0]), 1.0, 1.0])
        at = move + np.array(place) * np.exp(rng.normal(0, 0.05, 3))
        at += np.array([rng.normal(0, 0.7), 0, rng.normal(0, 0.8)])
        at[2] += style.arch_slope * (at[1] - size[1] / 2) + style.arch_shift
        at += style.warp.at(at[None])[0]
        points, faces = ellipsoid(at, np.array(radii) * np.exp(rng.normal(0, 0.12, 3)), rings=6, segments=10)
        if not joint:
            points[:, 2] += droop * (points[:, 1] - at[1])
        points = centre + points @ frame.T
        strength = (style.facets if joint else style.spinous) * float(np.exp(rng.normal(0, 0.15)))
        out.append(Solid(f"arch_{level}", points, faces, Tissue.SPINE_CORTEX, Tissue.MUSCLE, strength))
    return out
