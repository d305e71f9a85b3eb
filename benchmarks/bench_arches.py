"""How much the arches of simulated people differ, beside those of real people.

python -m benchmarks.bench_arches --people 150 --anatomy ANATOMY --donors verse.npz

Of each vertebra: height of the arch's centroid, its slope as seen from the middle of the body, and height of
the spinous tip, in the frame of the endplates; standard deviation between people at a level, pooled over the
levels of a region, for people with blends and for people with one donor after the other. ``ANATOMY`` is a
folder as of `benchmarks/build_donors.py`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.build_donors import FLAWED
from spinelift.geometry import Vertebra
from spinelift.geometry.arrays import Float, Integers
from spinelift.simulate.body.bones import template
from spinelift.simulate.body.column import place_vertebrae
from spinelift.simulate.body.library import DonorLibrary
from spinelift.simulate.body.physique import sample_physique
from spinelift.simulate.body.prior import N_LEVELS, ShapePrior
from spinelift.simulate.body.spine import sample_spine
from spinelift.simulate.donors.choice import Donors
from spinelift.simulate.donors.folder import load_folder

REGIONS = {
    "T1-T8": range(Vertebra.T1, Vertebra.T9),
    "T9-T12": range(Vertebra.T9, Vertebra.L1),
    "L1": range(Vertebra.L1, Vertebra.L2),
    "L2-L5": range(Vertebra.L2, N_LEVELS),
}
SKIP_MM = 3.0
"""The arch begins so far behind the body."""
TIP_MM = 6.0
"""Length of the end of the spinous process whose mean height counts."""
SIDE_MM = 10.0
"""Half the width of the part of the arch in which the spinous process is sought."""


def arch_of(points: Float, faces: Integers, depth: float) -> Float:
    """Height of the arch's centroid, mm, slope, degrees, height of the spinous tip, mm; up is positive."""
    corners = points[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    middle = corners.mean(1)
    behind = middle[:, 1] > depth / 2 + SKIP_MM
    _, post, down = np.average(middle[behind], axis=0, weights=area[behind])
    spinous = np.abs(middle[:, 0]) < SIDE_MM
    end = spinous & (middle[:, 1] > middle[spinous, 1].max() - TIP_MM)
    tip = np.average(middle[end, 2], weights=area[end])
    return np.array([-down, np.degrees(np.arctan2(-down, post)), -tip])


def simulated(library: DonorLibrary, people: int, seed: int) -> Float:
    """`arch_of` the vertebrae of simulated people [people, 17, 3]; NaN for the template's."""
    prior, out = ShapePrior.load(), np.full((people, N_LEVELS, 3), np.nan)
    for k in range(people):
        rng = np.random.default_rng((seed, k))
        physique = sample_physique(rng)
        spine = sample_spine(prior, physique, rng)
        shapes = library.draw(rng)
        solids = place_vertebrae(template(), shapes, spine, physique, rng, spread=1.0)
        outer = {s.name: s for s in reversed(solids)}
        for i, shape in enumerate(shapes):
            if shape is not None:
                bone = outer[f"vertebra_{i}"]
                local = (bone.points - spine.centres[i]) @ spine.frames[i]
                out[k, i] = arch_of(local, bone.faces, float(spine.size[i, 1]))
    return out


def real(anatomy: Path) -> Float:
    """`arch_of` the vertebrae of real people [people, 17, 3]; NaN where they have none."""
    bones = [b for b in load_folder(anatomy, refuse=lambda *_: None) if (b.person, b.level) not in FLAWED]
    people = sorted({b.person for b in bones if "mean" not in b.person})
    out = np.full((len(people), N_LEVELS, 3), np.nan)
    for bone in bones:
        if bone.person in people:
            values = arch_of(bone.mesh.vertices, bone.mesh.faces, float(bone.size[1]))
            out[people.index(bone.person), bone.level] = values
    return out


def spread(values: Float, levels: Sequence[int]) -> Float:
    """Standard deviation [3] between people at a level, pooled over levels."""
    total, freedom = np.zeros(3), 0
    for level in levels:
        own = values[np.isfinite(values[:, level, 0]), level]
        if len(own) > 1:
            total += ((own - own.mean(0)) ** 2).sum(0)
            freedom += len(own) - 1
    return np.sqrt(total / freedom) if freedom else np.full(3, np.nan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--donors", type=Path, action="append", default=[])
    options = parser.parse_args()
    library = Donors(tuple(options.donors)).load()
    rows = {"real": real(options.anatomy)} if options.anatomy else {}
    for name, share in (("one by one", 0.0), ("blends", 1.0)):
        rows[name] = simulated(replace(library, blend_share=share), options.people, options.seed)
    print("height of the centroid, mm; slope, degrees; height of the spinous tip, mm")
    for name, values in rows.items():
        parts = [f"{region} {spread(values, levels).round(1)}" for region, levels in REGIONS.items()]
        print(f"{name:>10}: " + "; ".join(parts))


if __name__ == "__main__":
    main()
