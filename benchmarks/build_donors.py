"""Makes the libraries of donors: the shipped one, and those whose licence keeps them out of the package.

python -m benchmarks.build_donors ANATOMY --shipped shipped.npz --verse verse.npz

``ANATOMY`` is a folder of closed meshes of real vertebrae with an ``index.csv``
(``spinelift/simulate/donors/folder.py``).
"""

import argparse
from dataclasses import replace
from pathlib import Path

from spinelift.geometry import Vertebra
from spinelift.simulate.body.library import DonorLibrary
from spinelift.simulate.donors.folder import load_folder
from spinelift.simulate.donors.library import save_library
from spinelift.simulate.donors.register import TRIANGLES, coarse, named, register_all, shipped_starts

ROOTS = {("slicer_ctacardio", Vertebra.T8), ("clouthier_mean_of_87", Vertebra.L3)}
"""Whose decimated meshes are the topologies of the thoracic and the lumbar spine."""
OPEN = {
    "slicer_ctacardio": ("MIT", "3D Slicer sample data CTACardio; github.com/raviumadi/scoliomorph"),
    "visible_human_male": ("BSD-3-Clause", "github.com/RemusR9/artisynth_lumbosacralSpineModel"),
    "clouthier_mean_of_87": ("MIT", "github.com/aclouthier/morphable-lumbar-model"),
    "totalseg_example": ("Apache-2.0", "github.com/wasserth/TotalSegmentator, tests/reference_files"),
    "tptbox_L3": ("Apache-2.0", "PyPI tptbox 1.1.0, tests/sample_ct"),
}
"""Licence and source of the people of the shipped library."""
VERSE = ("CC-BY-SA-4.0", "VerSe; github.com/anjany/verse, github.com/madsendennis/how-to-shape-model")
FLAWED = {
    *(("slicer_ctacardio", Vertebra.L3), ("totalseg_example", Vertebra.T12)),  # cut by the end of the scan
    ("totalseg_example", Vertebra.L1),  # labels of 3 mm
    *((f"verse{n}", Vertebra.L1) for n in ("004", "010", "013", "024", "030")),  # fractured
}


def build(anatomy: Path, licences: dict[str, tuple[str, str]] | None) -> DonorLibrary:
    """The people of ``licences``, or of VerSe."""
    bones = load_folder(anatomy, refuse=_say)
    bones = [b for b in bones if (b.person, b.level) not in FLAWED]
    chosen = []
    for bone in bones:
        terms = VERSE if licences is None and bone.person.startswith("verse") else None
        terms = licences.get(bone.person) if licences is not None else terms
        if terms:
            chosen.append(replace(bone, licence=terms[0], source=terms[1]))
    if licences is None:
        return DonorLibrary(tuple(register_all(chosen, shipped_starts(), refuse=_say)))
    starts = [named(coarse(b, TRIANGLES)) for b in chosen if (b.person, b.level) in ROOTS]
    at = [start.level for start in starts]
    rest = [b for b in chosen if (b.person, b.level) not in ROOTS]
    people = [start.person for start in starts]
    for bone in sorted(rest, key=lambda b: (b.person not in people, min(abs(b.level - k) for k in at))):
        starts += register_all([bone], starts, refuse=_say)
    return DonorLibrary(tuple(starts))


def _say(name: str, reason: str) -> None:
    print(f"{name}: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("anatomy", type=Path)
    parser.add_argument("--shipped", type=Path)
    parser.add_argument("--verse", type=Path)
    options = parser.parse_args()
    for path, licences in ((options.shipped, OPEN), (options.verse, None)):
        if path:
            library = build(options.anatomy, licences)
            save_library(path, library)
            for bone in library.vertebrae:
                print(f"{bone.person} {bone.level.name}: {bone.fit_mm:.2f} mm from its registered mesh")
            print(f"{len(library.vertebrae)} vertebrae of {', '.join(library.people)}: {path.name}")


if __name__ == "__main__":
    main()
