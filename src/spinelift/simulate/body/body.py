"""One simulated person: physique, posed spine, every solid, and what the solids are made of."""

from dataclasses import dataclass, replace

import numpy as np

from spinelift.geometry.arrays import Float
from spinelift.simulate.body.bones import template
from spinelift.simulate.body.clutter import place_clutter
from spinelift.simulate.body.column import place_vertebrae
from spinelift.simulate.body.flesh import place_flesh
from spinelift.simulate.body.library import DonorLibrary
from spinelift.simulate.body.physique import Physique, sample_physique
from spinelift.simulate.body.prior import ShapePrior
from spinelift.simulate.body.skeleton import Joints, place_skeleton
from spinelift.simulate.body.solids import MATERIALS, Solid, Tissue, points_of
from spinelift.simulate.body.spine import PosedSpine, sample_spine, with_sagittal_curve

FOREIGN_SHARE = 0.9
"""Share of people to train on whose body is built about the sagittal curve of another spine."""
CLUTTER_SHARE = 0.3
"""Share of people with metal, buttons or calcium in the picture."""
OTHER_SPREAD = 1.5
"""Standard deviations of the vertebral arches of people to calibrate on, relative to those of training."""
TEMPLATE_ALONE = DonorLibrary()
"""No donors: all vertebrae have the template's shape."""
DONOR_TRABECULAR = (0.4, 1.0)
"""Least and greatest factor on the mineral of trabecular bone in people with donors' vertebrae."""


@dataclass(frozen=True)
class Body:
    """A person in a pose. Solids are listed from the outside in; coordinates are patient axes in mm."""

    physique: Physique
    spine: PosedSpine
    joints: Joints
    solids: tuple[Solid, ...]
    composition: Float


def sample_composition(physique: Physique, rng: np.random.Generator) -> Float:
    """Mass of bone, lean and fat in each tissue, g/cm³ [tissues, 3].

    Bone counts as mineral of a cortical kind. Trabecular bone of a vertebra holds about 0.15 g/cm³ of it
    at 45 years and a third less at 75, with wide spread; cortex of thin shells is porous and thinner than
    the mesh's, hence less than the 1.9 g/cm³ of compact bone.
    """
    z = physique.density_z
    age = (physique.age - 60) / 10
    trabecular = 0.15 * np.exp(0.22 * z - 0.12 * age + rng.normal(0, 0.15))
    cortex = 1.15 * np.exp(0.12 * z - 0.05 * age + rng.normal(0, 0.1))
    table = np.zeros((len(Tissue), len(MATERIALS)))
    table[Tissue.FAT] = 0, 0.14, 0.80
    table[Tissue.MUSCLE] = 0, 1.0, 0.05
    fat = rng.uniform(0.1, 0.7)
    table[Tissue.VISCERA] = 0, 1.04 * (1 - fat), 0.93 * fat
    table[Tissue.ORGAN] = 0, 1.05, 0
    table[Tissue.LUNG] = 0, rng.uniform(0.22, 0.42), 0
    table[Tissue.CARTILAGE] = 0.03, 1.08, 0
    table[Tissue.CORTEX] = cortex * 1.05, 0.35, 0
    table[Tissue.SPINE_CORTEX] = cortex, 0.4, 0.05
    table[Tissue.SPINE_TRABECULAR] = trabecular, 0.55, 0.4
    table[Tissue.RIB_TRABECULAR] = trabecular * rng.uniform(0.4, 1.0), 0.6, 0.35
    table[Tissue.LIMB_TRABECULAR] = trabecular * 0.8, 0.2, 0.75
    table[Tissue.METAL] = 15.0, 0, 0
    return table


def build_body(
    spine: PosedSpine,
    physique: Physique,
    rng: np.random.Generator,
    *,
    whole: bool = True,
    around: PosedSpine | None = None,
    clutter_share: float = CLUTTER_SHARE,
    arch_spread: float = 1.0,
    donors: DonorLibrary = TEMPLATE_ALONE,
) -> Body:
    """A person with a given posed spine; ``whole=False`` leaves out the legs.

    Vertebrae have the shapes of random ``donors``, or of the template. All but the vertebrae is built about
    the spine ``around``, by default the person's own.
    """
    around = around or spine
    bones = template()
    skeleton, joints = place_skeleton(bones, around, physique, rng, whole=whole)
    cage = points_of(skeleton, "rib", "sternum", "clavicle", "scapula")
    flesh = place_flesh(around, joints, cage, physique, rng, whole=whole)
    shapes = donors.draw(rng)
    vertebrae = place_vertebrae(bones, shapes, spine, physique, rng, spread=arch_spread)
    clutter = place_clutter(around, physique.scale, clutter_share, rng)
    solids = (*flesh, *skeleton, *vertebrae, *clutter)
    composition = sample_composition(physique, rng)
    if any(shape is not None for shape in shapes):
        composition[Tissue.SPINE_TRABECULAR, 0] *= rng.uniform(*DONOR_TRABECULAR)
    return Body(physique, spine, joints, solids, composition)


def sample_body(
    prior: ShapePrior,
    rng: np.random.Generator,
    *,
    whole: bool = True,
    foreign: float = 0.0,
    donors: DonorLibrary = TEMPLATE_ALONE,
) -> Body:
    """A random person; ``whole=False`` leaves out the legs, which lie outside the spine's crop.

    A share ``foreign`` of people have a body built about the sagittal curve of another random spine. The same
    random numbers give the same person with the same vertebrae in either body.
    """
    physique = sample_physique(rng)
    spine = sample_spine(prior, physique, rng)
    (apart,) = rng.spawn(1)
    around = _foreign(spine, physique, prior, apart) if apart.random() < foreign else spine
    return build_body(spine, physique, rng, whole=whole, around=around, donors=donors)


def _foreign(
    spine: PosedSpine, physique: Physique, prior: ShapePrior, rng: np.random.Generator
) -> PosedSpine:
    """``spine`` with the sagittal curve of another random person of the same physique."""
    return with_sagittal_curve(spine, sample_spine(prior, physique, rng), rng)


def sample_other_body(
    prior: ShapePrior,
    rng: np.random.Generator,
    *,
    whole: bool = True,
    donors: DonorLibrary = TEMPLATE_ALONE,
) -> Body:
    """A person to calibrate on: other bone density, more varied vertebral arches, twice the clutter.

    Ribs, shoulders, neck, pelvis and soft parts are built about the sagittal curve of another random spine,
    so that the vertebrae alone show the person's own.
    """
    physique = sample_physique(rng)
    physique = replace(physique, density_z=1.5 * physique.density_z - 0.4)
    spine = sample_spine(prior, physique, rng)
    return build_body(
        spine,
        physique,
        rng,
        whole=whole,
        around=_foreign(spine, physique, prior, rng),
        clutter_share=2 * CLUTTER_SHARE,
        arch_spread=OTHER_SPREAD,
        donors=donors,
    )
