"""Which of a visit's DICOM images is the bone image of the total body.

UK Biobank names the area in ``ProtocolName``; of the two Total Body images the lower
``InstanceNumber`` is the tissue image and the higher the bone image.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spinelift.errors import (
    AmbiguousScanError,
    NoDxaInArchiveError,
    TruncatedDicomError,
    UnsupportedImageError,
    WrongBodyPartError,
    WrongModalityError,
)
from spinelift.io.dicom import DicomHeader, read_header

LONE_IMAGE = "No tissue image beside it: the only Total Body image was taken to be the bone image."
UNNAMED_IMAGE = "ProtocolName is missing: taken to be the total body by its proportions."
WHOLE_VISIT = "Pass the archive of the visit, or its Total Body bone image."

_Candidate = tuple[DicomHeader, bytes]


@dataclass(frozen=True)
class TotalBody:
    """Files of the total-body pair; ``named`` is False if only the proportions can confirm the area."""

    bone: bytes
    tissue: bytes | None
    named: bool
    warnings: tuple[str, ...]


def pick_total_body(files: Iterable[bytes]) -> TotalBody:
    """Choose the Total Body pair among DICOM files; other areas and modalities are skipped.

    A damaged file is fatal unless both Total Body images are there without it. Raises NoDxaInArchiveError,
    WrongModalityError, WrongBodyPartError, AmbiguousScanError, UnsupportedImageError or TruncatedDicomError.
    """
    headers: list[DicomHeader] = []
    candidates: list[_Candidate] = []
    damage: TruncatedDicomError | None = None
    for data in files:
        try:
            header = read_header(data)
        except TruncatedDicomError as error:
            damage = error
            continue
        if header is None:
            continue
        headers.append(header)
        if header.is_dxa and (header.is_total_body or not header.protocol):
            candidates.append((header, data))
    # the same image may be there twice, under two names
    named = list({data: (header, data) for header, data in candidates if header.is_total_body}.values())
    if damage is not None and len(named) < 2:
        raise damage
    people = {header.visit[0] for header in headers if header.is_dxa and header.visit[0]}
    if len(people) > 1:
        raise _ambiguous(f"images of {len(people)} people")
    if len(named) == 2:
        return _pair(*named, damaged=damage is not None)
    if len(named) > 2:
        raise _ambiguous(f"{len(named)} Total Body images")
    if named:
        return TotalBody(named[0][1], None, named=True, warnings=(LONE_IMAGE,))
    if len(headers) == len(candidates) == 1:
        return TotalBody(candidates[0][1], None, named=False, warnings=(UNNAMED_IMAGE, LONE_IMAGE))
    raise _nothing(headers)


def _pair(one: _Candidate, other: _Candidate, *, damaged: bool) -> TotalBody:
    numbers = [c[0].instance_number for c in (one, other)]
    if None in numbers or numbers[0] == numbers[1]:
        raise UnsupportedImageError(
            found="two Total Body images whose InstanceNumber is missing or equal",
            expected="the tissue image with the lower and the bone image with the higher number",
            do="Pass the bone image alone.",
        )
    if one[0].visit != other[0].visit:
        raise _ambiguous("Total Body images of two days")
    tissue, bone = sorted((one, other), key=lambda c: c[0].instance_number or 0)
    warnings = ("A damaged file beside the Total Body images was skipped.",) if damaged else ()
    return TotalBody(bone[1], tissue[1], named=True, warnings=warnings)


def _ambiguous(found: str) -> AmbiguousScanError:
    return AmbiguousScanError(
        found=found, expected="one person's single visit", do="Pass each visit as its own zip or folder."
    )


def _nothing(headers: list[DicomHeader]) -> NoDxaInArchiveError | WrongModalityError | WrongBodyPartError:
    """The error that says best why there is no Total Body image."""
    if not headers:
        return NoDxaInArchiveError(
            found="no DICOM image",
            expected="the DXA images of a visit (UK Biobank field 20158)",
            do="Check that this is the right file.",
        )
    dxa = [header for header in headers if header.is_dxa]
    if not dxa:
        modalities = sorted({_shown(header.modality) for header in headers})
        return WrongModalityError(
            found=f"images of modality {', '.join(modalities)}",
            expected="DXA (modality BMD, CR, DX or OT)",
            do="Pass the DXA of the visit (UK Biobank field 20158).",
        )
    areas = sorted({_shown(header.protocol) for header in dxa})
    return WrongBodyPartError(
        found=f"DXA of {', '.join(areas)}",
        expected="a Total Body image",
        do=WHOLE_VISIT,
    )


def _shown(value: str) -> str:
    """Header text fit for a message: printable and short."""
    return "".join(c for c in value if c.isprintable())[:24] or "no name"
