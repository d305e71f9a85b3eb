"""One DXA from any kind of input: UK Biobank zip, DICOM file, folder of DICOM files, PNG or TIFF."""

import hashlib
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from spinelift.errors import (
    AmbiguousScanError,
    ImageTooSmallError,
    NoSpacingError,
    UnsupportedImageError,
    WrongBodyPartError,
)
from spinelift.geometry import Spacing
from spinelift.io.dicom import read_identity
from spinelift.io.dicom_image import OrientedImage, read_image
from spinelift.io.dxa.discover import dicom_files
from spinelift.io.dxa.picture import read_picture
from spinelift.io.dxa.quality import check_image, is_whole_body, notes
from spinelift.io.dxa.scan import DxaScan
from spinelift.io.dxa.visit import PASS_AREA, Area, TotalBody, pick_total_body
from spinelift.io.identity import OTHER_NAME
from spinelift.io.inputs import FileKind, check_field, dicom_members, input_sha256, kind_of_file, pseudonym
from spinelift.io.spacing import ASK_FOR_SPACING, check_spacing
from spinelift.io.ukb_names import DXA_FIELD

MAX_FILE_BYTES = 512 << 20
"""Largest file that is opened."""


def read_dxa(
    path: str | PathLike[str], *, spacing: Spacing | None = None, area: Area | None = None
) -> DxaScan:
    """Read the total-body DXA of one visit.

    Parameters
    ----------
    path
        A zip of a visit, one DICOM file, a folder that directly holds a visit's DICOM files, or a grey
        PNG or TIFF.
    spacing
        Pixel size, mm, of the rows and columns that a DICOM file stores, in place of the header's, or of a
        picture as it is shown; pictures need it.
    area
        ``"total-body"`` says that the DICOM images are of the total body, whatever their header and size say.

    Raises
    ------
    SpineliftError
        Its subclass names what is wrong with the input; nothing else is raised for bad input.
    """
    path = Path(path)
    if path.is_dir():
        files = dicom_files(path)
        digests = "".join(sorted(input_sha256(file, MAX_FILE_BYTES) for file in files))
        sha256 = hashlib.sha256(digests.encode()).hexdigest()
        return _from_dicom(path, sha256, (file.read_bytes() for file in files), spacing, area)
    expected = "a zip, DICOM, PNG or TIFF file, or a folder of DICOM files"
    kind, sha256 = kind_of_file(path, expected), input_sha256(path, MAX_FILE_BYTES)
    match kind:
        case FileKind.ZIP:
            check_field(path, DXA_FIELD)
            return _from_dicom(path, sha256, dicom_members(path), spacing, area)
        case FileKind.DICOM:
            return _from_dicom(path, sha256, [path.read_bytes()], spacing, area)
        case FileKind.PICTURE:
            return _from_picture(path, sha256, spacing)
        case FileKind.OTHER:
            found = f"{path.name}, of a kind that is not known"
            raise UnsupportedImageError(found=found, expected=expected, do="Export the scan as one of these.")


def _from_dicom(
    path: Path, sha256: str, files: Iterable[bytes], spacing: Spacing | None, area: Area | None
) -> DxaScan:
    chosen = pick_total_body(files, area)
    bone = read_image(chosen.bone, spacing=spacing)
    check_image(bone.pixels, bone.spacing)
    if area is None:
        _check_whole_body(bone, chosen)
    tissue = read_image(chosen.tissue, spacing=spacing) if chosen.tissue else None
    if tissue and (tissue.pixels.shape != bone.pixels.shape or tissue.spacing != bone.spacing):
        raise AmbiguousScanError(
            found="Total Body images of two sizes",
            expected="a tissue and a bone image of the same scan",
            do="Pass the bone image alone.",
        )
    remarks = (*chosen.warnings, *bone.warnings, *notes(bone.pixels, bone.spacing))
    identity = read_identity(chosen.bone)
    remarks += (OTHER_NAME,) if identity.contradicts(path) else ()
    pixels = tissue.pixels if tissue else None
    scan_id = pseudonym(path, DXA_FIELD, sha256)
    return DxaScan(scan_id, bone.pixels, pixels, bone.spacing, sha256, remarks, identity)


def _from_picture(path: Path, sha256: str, spacing: Spacing | None) -> DxaScan:
    if spacing is None:
        found = "a picture, which has no pixel size"
        raise NoSpacingError(found=found, expected="the pixel size in mm", do=ASK_FOR_SPACING)
    spacing = check_spacing(spacing.row_mm, spacing.col_mm, "given")
    bone = read_picture(path.read_bytes())
    check_image(bone, spacing)
    remark = "A picture has no header: taken to be a bone image, columns to the patient's left."
    remarks = (remark, *notes(bone, spacing))
    return DxaScan(pseudonym(path, DXA_FIELD, sha256), bone, None, spacing, sha256, remarks)


def _check_whole_body(image: OrientedImage, chosen: TotalBody) -> None:
    """Refuse an image that has not the size of a whole-body scan: another area, or a wrong pixel size."""
    rows, columns = image.pixels.shape
    height, width = rows * image.spacing.row_mm, columns * image.spacing.col_mm
    if not is_whole_body(height, width):
        size = f"{height:.0f} × {width:.0f} mm (height × width)"
        kind = ImageTooSmallError if chosen.named else WrongBodyPartError
        raise kind(
            found=f"{chosen.what}, {size}",
            expected="a Total Body image, at least 1 m tall and 0.3 to 1 m wide",
            do=f"Check the pixel size (--spacing). {PASS_AREA}",
        )
