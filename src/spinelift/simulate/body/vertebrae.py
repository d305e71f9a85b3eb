"""Shapes of one person's vertebrae: the template morphed to size and varied."""

from dataclasses import dataclass

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.physique import Physique
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.warp import Warp, sample_warps

ARCH_WARP_MM: Float = np.array([1.0, 1.2, 2.0])
"""Standard deviation of the free-form differences between people's arches (left, posterior, down)."""
SPREAD_LOG = 0.35
"""Some people's arches differ more from the usual than others': standard deviation of the log of how much."""

CONCAVITY = 0.08
"""Mean relative depth of the template's hollow endplates; donors have their own."""
_CHEST: Float = 1 / (1 + np.exp((np.arange(N_LEVELS) - 10.5) / 1.2))
"""1 in the thoracic, 0 in the lumbar spine [17]."""
USUAL_CORTEX_BODY_MM, USUAL_CORTEX_ARCH_MM = 0.28, 1.1 - 0.5 * _CHEST
"""Geometric mean of the thickness of the template's cortex, mm; of the arch by level [17]."""


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
    chest = _CHEST
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
        "cortex_body_mm": USUAL_CORTEX_BODY_MM * np.exp(both(0.3, 0.06)),
        "cortex_arch_mm": USUAL_CORTEX_ARCH_MM * np.exp(along(0.28, 0.12, 0.08)),
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
    pillar = np.exp(-(((across - 0.33 * size[0]) / 6.5) ** 2))
    arm = _step(across - 0.52 * size[0], 2.0)
    arch = style.cortex_arch_mm * (0.45 + style.pillar * pillar) * (1 - 0.7 * arm)
    end = _step(np.abs(local[:, 2]) - 0.4 * size[2], 0.6)
    body = style.cortex_body_mm * (1 + (style.endplate - 1) * end)
    return by_part(local, size, body, arch)


def by_part(local: Float, size: Float, body: Float | float, arch: Float | float) -> Float:
    """One value in the body, another in the arch, and between them in the pedicles, at points [n, 3]."""
    behind = np.clip((local[:, 1] - size[1] / 2) / 5 + 0.5, 0, 1)
    return np.asarray(body * (1 - behind) + arch * behind)
