"""A scene with nothing symmetric: T1 far to the left and the front, L5 to the right, a bright left half."""

import re
import zlib

import numpy as np
import pytest

from spinelift.curves import Curve, SpineCurves
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


def bent() -> SpineCurves:
    """A spine with one curve, convex to the patient's left."""
    curves = scene().curves
    t = np.linspace(0, 1, 209)
    mm = curves.mm.copy()
    mm[:3] += 45 * np.sin(np.pi * t) - mm[Curve.CENTRE] + 320
    mm[0], mm[2] = mm[1] + 14, mm[1] - 14
    return SpineCurves.from_mm(mm, curves.frame)


def pdf_pages(pdf: bytes) -> int:
    """Number of pages, of the page tree, which may be in a compressed stream."""
    parts = [pdf]
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            parts.append(zlib.decompressobj().decompress(stream))
        except zlib.error:
            continue
    (count,) = re.findall(
        rb"/Type */Pages[^>]*?/Count (\d+)|/Count (\d+)[^>]*?/Type */Pages", b"\n".join(parts)
    )
    return int(b"".join(count))


def _has_pango() -> bool:
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


needs_pango = pytest.mark.skipif(not _has_pango(), reason="WeasyPrint or its library Pango is missing")
