"""A scene with nothing symmetric: T1 far to the left and the front, L5 to the right, a bright left half."""

import numpy as np

from spinelift.curves import SpineCurves
from spinelift.geometry import Spacing, SpineFrame
from spinelift.report.scene import SpineScene

SPACING = Spacing(2.427, 2.419)


def scene(**changes: object) -> SpineScene:
    frame = SpineFrame.from_ends(SPACING, top_xz_mm=(360.0, 330.0), bottom_xz_mm=(300.0, 830.0))
    t = np.linspace(0, 1, 209)
    x = 360.0 - 60 * t
    y = -40 * np.cos(np.pi * t)
    width, depth = 12 + 10 * t, 8 + 8 * t
    mm = np.stack([x + width, x, x - width, y - depth, y, y + depth])
    curves = SpineCurves.from_mm(mm, frame)
    image = np.full((791, 272), 60, np.float32)
    image[:, 150:] = 200
    half = np.stack([np.full(209, 1.0)] * 3 + [1 + 11 * t] * 3)
    other = mm.copy()
    other[3:] += 6 * np.sin(2 * np.pi * t)
    values: dict[str, object] = {
        "scan_id": "1234567_2",
        "image": image,
        "curves": curves,
        "half_width_mm": half,
        "plausible": (SpineCurves.from_mm(other, frame),),
        "warnings": ("a <b>warning</b> & more",),
        "made_by": "fake 1",
    }
    return SpineScene(**{**values, **changes})  # type: ignore[arg-type]
