"""The lateral vertebral view (LVA) of a visit, which shows the spine from the side."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spinelift.errors import NoLateralViewError, SpineliftError
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float32
from spinelift.io.dicom import DicomHeader, read_header
from spinelift.io.dicom_image import View, read_image
from spinelift.io.dicom_parse import Budget
from spinelift.io.dxa.discover import dicom_files
from spinelift.io.identity import NOBODY, Identity
from spinelift.io.inputs import FileKind, check_field, dicom_members, kind_of_file, read_bounded
from spinelift.io.ukb_names import DXA_FIELD

HEIGHT_MM, WIDTH_MM = (300.0, 700.0), (90.0, 400.0)
"""Height and width of a lateral view of the thoracic and lumbar spine (438 mm and 200 mm on an iDXA)."""
MIN_CONTRAST = 4.0
"""Least standard deviation of the grey values."""
SEVERAL = "Several lateral views: the one with the highest InstanceNumber was taken."
_EXPECTED = "a zip or folder of a visit, with an image whose ProtocolName is LVA"


@dataclass(frozen=True)
class LateralScan:
    """Lateral view, float32 [H, W], 0 to 255, rows to the feet, columns to posterior, with its pixel size."""

    image: Float32
    spacing: Spacing
    warnings: tuple[str, ...] = ()


def read_lateral(
    path: Path, *, orientation: Sequence[str] | None = None, identity: Identity = NOBODY
) -> LateralScan:
    """Read the lateral vertebral view of a visit: of a zip, or of a folder with its DICOM files.

    ``orientation`` (where columns and rows lead, such as ``("P", "F")``) overrides the header's; ``identity``
    is the patient of the visit's total-body image.

    Raises
    ------
    NoLateralViewError
        There is none, or none of this patient; or its size is another one, or it shows nothing.
    SpineliftError
        Archive or image cannot be read; UnsupportedImageError if no orientation says where the front is.
    """
    remarks, data = _choose(_headers(path), identity)
    read = read_image(data, view=View.LATERAL, orientation=orientation)
    rows, cols = read.pixels.shape
    height, width = rows * read.spacing.row_mm, cols * read.spacing.col_mm
    if not (HEIGHT_MM[0] <= height <= HEIGHT_MM[1] and WIDTH_MM[0] <= width <= WIDTH_MM[1]):
        limits = " and ".join(f"{low:.0f} to {high:.0f} mm" for low, high in (HEIGHT_MM, WIDTH_MM))
        raise NoLateralViewError(
            found=f"a lateral view of {height:.0f} × {width:.0f} mm (height × width)",
            expected=f"{limits}, the head at the top",
            do="Check ExposedArea and PatientOrientation of the image.",
        )
    if float(read.pixels.std()) < MIN_CONTRAST:
        raise _missing("a lateral view without contrast")
    return LateralScan(read.pixels, read.spacing, (*remarks, *read.warnings))


def _headers(path: Path) -> Iterable[tuple[DicomHeader, bytes]]:
    """Header and content of each DICOM image of a visit; what cannot be read is passed over."""
    if path.is_dir():
        contents: Iterable[bytes | SpineliftError] = map(read_bounded, dicom_files(path))
    elif kind_of_file(path, _EXPECTED) is FileKind.ZIP:
        check_field(path, DXA_FIELD)
        contents = dicom_members(path, skipped=Counter())
    else:
        contents = [read_bounded(path)]
    budget = Budget()
    for data in contents:
        if isinstance(data, SpineliftError):
            continue
        try:
            header = read_header(data, budget)
        except SpineliftError:
            continue
        if header is not None:
            yield header, data


def _choose(images: Iterable[tuple[DicomHeader, bytes]], identity: Identity) -> tuple[tuple[str, ...], bytes]:
    """The lateral view of a person, and remarks on the choice."""
    found = {data: header for header, data in images if header.is_dxa and header.is_lateral}
    own = {data: header for data, header in found.items() if not header.identity.differences(identity)}
    if not own:
        raise _missing(f"lateral views of another person ({len(found)})" if found else "no lateral view")
    grey = [(header.instance_number or 0, data) for data, header in own.items() if header.one_grey_frame]
    if not grey:
        raise _missing("a lateral view in colour or of several frames")
    return ((SEVERAL,) if len(grey) > 1 else ()), max(grey)[1]


def _missing(found: str) -> NoLateralViewError:
    return NoLateralViewError(found=found, expected=_EXPECTED, do="Leave this visit out of the check.")
