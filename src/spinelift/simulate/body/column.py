"""A person's vertebrae in place: shells of cortex around trabecular bone, shaped as donors or template."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.simulate.body import morphometry
from spinelift.simulate.body.bones import Template, make_mesh
from spinelift.simulate.body.donors import (
    DonorVertebra,
    arch_density,
    fit_vertebra,
    mirrored,
    sample_donor_styles,
)
from spinelift.simulate.body.physique import Physique
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.solids import Solid, Tissue, ellipsoid, shell
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.body.vertebrae import (
    CONCAVITY,
    USUAL_CORTEX_ARCH_MM,
    USUAL_CORTEX_BODY_MM,
    VertebraStyle,
    by_part,
    cortex_mm,
    morph,
    sample_styles,
)

SPINOUS_DROOP: Float = np.array([0.4, 0.6, 0.8, 1.0, 1.2, 1.3, 1.3, 1.2, 1.0, 0.7, 0.5, 0.35] + [0.25] * 5)
"""Tangent of the angle by which a spinous process points to the feet [17]: set by hand."""
DONOR_CORTEX, DONOR_CORTEX_SD = 1.5, 0.25
"""Cortex of a donor's arch over that of the template's, whose added masses donors lack: geometric mean, and
standard deviation of the log between people. On CT the arch holds 1.55 times as much mineral, relative to
the body, as the template's shell."""


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
            style = replace(style, cortex_arch_mm=style.cortex_arch_mm * float(arch[i]) * arch_density(donor))
        mesh = make_mesh(spine.centres[i] + local @ spine.frames[i].T, faces)
        core, cortex = Tissue.SPINE_TRABECULAR, Tissue.SPINE_CORTEX
        if donor is None or donor.cortex is None:
            thickness = cortex_mm(local, size, style)
        else:
            usual_arch = DONOR_CORTEX * USUAL_CORTEX_ARCH_MM[i]
            factors = style.cortex_body_mm / USUAL_CORTEX_BODY_MM, style.cortex_arch_mm / usual_arch
            thickness = donor.cortex * by_part(local, size, *factors)
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
