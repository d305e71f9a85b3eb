"""One person of a yardstick, and caches of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spinelift.curves import Curve
from spinelift.errors import ConfigError
from spinelift.geometry import SPINE_ROWS, PixelGrid
from spinelift.simulate.body.spine import PosedSpine
from spinelift.simulate.ct.project import crop_spine

Float = NDArray[np.float64]


@dataclass(frozen=True)
class YardstickCase:
    """A crop and its truth.

    Parameters
    ----------
    name
        Unique within its yardstick. What stands before the last ``/`` is the person: cases of one person
        (other scanner settings) share it.
    image
        uint8 [224, 224], the spine in rows 7.5 to 215.5.
    curves
        True curves [6, 209] in crop px, sagittal ones from the mean of the centre one over all rows.
    mm_per_px
        Size of a crop pixel, mm.
    valid
        Rows where the truth is known, bool [209].
    known
        Curves of which the truth is known, bool [6].
    """

    name: str
    image: NDArray[np.uint8]
    curves: NDArray[np.float32]
    mm_per_px: float
    valid: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @property
    def person(self) -> str:
        """Who it is, without the variant."""
        return self.name.rpartition("/")[0] or self.name


def photograph(
    name: str,
    bone: NDArray[np.uint8],
    view: PixelGrid,
    spine: PosedSpine,
    valid: NDArray[np.bool_] | None = None,
    known: NDArray[np.bool_] | None = None,
) -> YardstickCase:
    """Crop a bone picture at the true place of a spine given in the view's mm."""
    image, curves = crop_spine(bone, view, spine)
    return YardstickCase(
        name,
        image,
        curves.px.astype(np.float32),
        curves.frame.mm_per_px,
        np.ones(SPINE_ROWS, bool) if valid is None else valid,
        np.ones(len(Curve), bool) if known is None else known,
    )


def save_cases(path: Path, cases: Sequence[YardstickCase]) -> None:
    """Write cases as one compressed ``.npz``: name, image, curves, mm_per_px, valid, known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        name=np.array([c.name for c in cases]),
        image=np.stack([c.image for c in cases]),
        curves=np.stack([c.curves for c in cases]),
        mm_per_px=np.array([c.mm_per_px for c in cases], np.float32),
        valid=np.stack([c.valid for c in cases]),
        known=np.stack([c.known for c in cases]),
    )


def load_cases(path: Path) -> list[YardstickCase]:
    """Read what :func:`save_cases` wrote."""
    if not path.is_file():
        raise ConfigError(
            found=f"no file {path}",
            expected="a cache of yardstick cases",
            do="Make it first, or check the path.",
        )
    with np.load(path) as z:
        rows = zip(z["name"], z["image"], z["curves"], z["mm_per_px"], z["valid"], z["known"], strict=True)
        return [YardstickCase(str(n), i, c, float(m), v, k) for n, i, c, m, v, k in rows]
