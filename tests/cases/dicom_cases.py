"""A DICOM scan with a slanted column in any stored orientation, and the objects of a spine along it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from io_cases import dataset, saved
from predict_cases import BOTTOM_XZ, HALF_WIDTH, SHAPE, SPACING, TOP_XZ, spine_image
from pydicom.dataset import Dataset

from spinelift.curves import SpineCurves
from spinelift.geometry import SpineFrame
from spinelift.io.dxa.source import SourceImage, read_source
from spinelift.report.dicom import make_dicom
from spinelift.report.dicom.study import Study
from spinelift.report.overlay import overlay_png
from spinelift.report.scene import SpineScene
from spinelift.simulate.archive.dxa import DxaImage

ORIENTATIONS = ("LF", "RF", "LH", "RH", "FL", "FR", "HL", "HR")
SHA256 = "ab" * 32


def stored(image: np.ndarray, letters: str) -> np.ndarray:
    """A picture with columns to the left and rows to the feet, as a file of another orientation has it."""
    rows, columns = (letters[1], letters[0]) if letters[0] in "LR" else letters
    image = image[:, ::-1] if columns == "R" else image
    image = image[::-1] if rows == "H" else image
    return np.ascontiguousarray(image if letters[0] in "LR" else image.T)


def source_file(
    folder: Path, letters: str = "LF", change: Callable[[Dataset], None] = lambda _: None
) -> Path:
    """A DICOM file of the column; ``change`` edits its header."""
    size = SHAPE[1] * SPACING.col_mm, SHAPE[0] * SPACING.row_mm
    data = dataset(folder, image=DxaImage("Total Body", 2, spine_image(), *size))
    pixels = stored(spine_image(), letters)
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    data.PatientOrientation = list(letters)
    data.ExposedArea = [round(v) for v in (size if letters[0] in "LR" else size[::-1])]
    change(data)
    return saved(data, folder / "scan.dcm")


def scene() -> SpineScene:
    """The spine along the column: T1 to the right of L5, and not symmetric in depth."""
    frame = SpineFrame.from_ends(SPACING, top_xz_mm=TOP_XZ, bottom_xz_mm=BOTTOM_XZ)
    t = np.linspace(0, 1, 209)
    x = TOP_XZ[0] + t * (BOTTOM_XZ[0] - TOP_XZ[0])
    y = 25 * np.cos(1.5 * np.pi * t) - 9 * t
    half = np.stack([np.full(209, 1.0)] * 3 + [np.full(209, 8.0)] * 3)
    mm = np.stack([x + HALF_WIDTH, x, x - HALF_WIDTH, y - 14, y, y + 17])
    image = spine_image().astype(np.float32)
    return SpineScene("scan", image, SpineCurves.from_mm(mm, frame), half, made_by="fake 1")


def _number(value: float) -> dict[str, object]:
    return {"value": value, "interval90": [value - 2.0, value + 3.5]}


def document() -> dict[str, object]:
    """A ``curves.json`` with measures."""
    curve = {
        "type": "thoracic", "direction": "right", "apex": "T8", "upper_end": "T5", "lower_end": "T11",
        "apex_mm": 480.0, "upper_end_mm": 400.0, "lower_end_mm": 560.0, "cobb_levels": ["T5", "T11"],
        "ferguson_deg": _number(12.5), "cobb_equivalent_deg": {"value": 17.0, "interval90": None},
        "curvature_plane_deg": _number(61.0), "torsion_deg_per_cm": _number(0.5),
    }  # fmt: skip
    measures = {
        "ferguson_deg": _number(12.5), "kyphosis_deg": _number(38.0), "coronal_offset_mm": _number(-9.0),
        "curve_count": 1, "thresholds_crossed_deg": [10.0], "curves": [curve],
    }  # fmt: skip
    return {
        "format": 2,
        "scan_id": "scan",
        **scene().curves.to_json(),
        "measures": measures,
        "screening": {"finding": ">=10", "reasons": ["the trunk is tilted"]},
        "warnings": ["odd"],
        "bundle": {"name": "fake", "version": "0.0.1", "sha256": "cd" * 32},
    }


def study_of(source: SourceImage, content: dict[str, object] | None = None) -> Study:
    """The patient's study."""
    return Study.of(source, content or document(), sha256=SHA256, deidentified=False)


def objects(path: Path, *, deidentified: bool = False) -> dict[str, bytes]:
    """The objects of the spine for a file of :func:`source_file`."""
    source, drawn = read_source(path, in_study=not deidentified), scene()
    return make_dicom(
        drawn, document(), source, sha256=SHA256, overlay=overlay_png(drawn), deidentified=deidentified
    )
