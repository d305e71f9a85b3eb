"""Which of a visit's DICOM images is the bone image of the total body.

UK Biobank names the area in ``ProtocolName``; of the two Total Body images the lower
``InstanceNumber`` is the tissue image and the higher the bone image.
"""

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spinelift.errors import (
    AmbiguousScanError,
    ImageTooSmallError,
    NoDxaInArchiveError,
    SpineliftError,
    TruncatedDicomError,
    TruncatedZipError,
    UnsupportedImageError,
    WrongBodyPartError,
    WrongModalityError,
)
from spinelift.geometry import Spacing
from spinelift.io.archive import REPEATED
from spinelift.io.dicom import DicomHeader, read_header
from spinelift.io.dicom_image import OrientedImage, read_image
from spinelift.io.dicom_parse import Budget
from spinelift.io.dxa.quality import is_whole_body
from spinelift.io.identity import Identity
from spinelift.io.inputs import NOT_DICOM, UNREADABLE

LONE_IMAGE = "No tissue image beside it: the only Total Body image was taken to be the bone image."
UNNAMED_IMAGE = "ProtocolName does not name the total body: taken to be it by its size and shape."
GIVEN_AREA = "Taken to be the total body because the command line says so."
WHOLE_VISIT = "Pass the archive of the visit, or its Total Body bone image."
PASS_AREA = "If it is the total body, pass --area total-body."

MAX_CODING_NOISE = 2.0
"""Mean difference of grey values up to which two images are one, before and after a lossy compression."""

Area = Literal["total-body"]
_AREA_WORDS = {
    *(
        "ap",
        "pa",
        "dual",
        "left",
        "right",
        "lateral",
        "spine",
        "lumbar",
        "thoracic",
        "lva",
        "vertebral",
        "ortho",
    ),
    *("assessment", "ortho", "hip", "hips", "femur", "knee", "forearm", "hand", "total", "whole", "body"),
}
_MODALITIES = (
    "CT",
    "DOC",
    "ES",
    "KO",
    "MG",
    "MR",
    "NM",
    "PR",
    "PT",
    "RF",
    "SC",
    "SEG",
    "SR",
    "US",
    "XA",
    "XC",
)
_DAMAGE = (TruncatedDicomError, TruncatedZipError)
_Candidate = tuple[DicomHeader, bytes]


@dataclass(frozen=True)
class TotalBody:
    """Files of the total-body pair; ``named`` is whether the header names the area, ``what`` says how.

    ``identity`` is that of the bone image."""

    bone: bytes
    tissue: bytes | None
    named: bool
    what: str
    warnings: tuple[str, ...]
    identity: Identity


def pick_total_body(
    files: Iterable[bytes | SpineliftError], area: Area | None = None, skipped: Counter[str] | None = None
) -> TotalBody:
    """Choose the Total Body pair among DICOM files; all others are skipped, and the odd ones counted.

    In place of a file that cannot be read comes its error. ``skipped`` counts what ``files`` left out.

    Where no ProtocolName says Total Body, names in other languages count if the image has the size of a whole
    body; with ``area``, all names count. A damaged file is fatal unless both Total Body images are there
    without it. Raises NoDxaInArchiveError, WrongModalityError, WrongBodyPartError, AmbiguousScanError,
    UnsupportedImageError or TruncatedDicomError.
    """
    headers: list[DicomHeader] = []
    images: dict[bytes, DicomHeader] = {}  # the same image may be there twice, under two names
    skipped = Counter() if skipped is None else skipped
    damage: SpineliftError | None = None
    budget = Budget()
    for data in files:
        try:
            if isinstance(data, SpineliftError):
                raise data
            header = read_header(data, budget)
        except SpineliftError as error:
            damage = error.with_traceback(None)  # which holds the file
            skipped["damaged" if isinstance(error, _DAMAGE) else UNREADABLE] += 1
            continue
        if header is None:
            skipped["without an image"] += 1
            continue
        headers.append(header)
        if header.is_dxa:
            skipped[REPEATED] += data in images
            images[data] = header
        else:
            skipped["of another modality"] += 1
    chosen: list[_Candidate] = []
    for header, data in _choose([(header, data) for data, header in images.items()], area):
        if any(_is_copy((header, data), earlier) for earlier in chosen):
            skipped["a copy in another encoding"] += 1
        else:
            chosen.append((header, data))
    grey = [c for c in chosen if c[0].one_grey_frame]
    if grey:
        skipped["in colour or of several frames"] += len(chosen) - len(grey)
        chosen = grey
    if damage is not None and len(chosen) < 2:
        raise damage
    people = {header.identity.patient for header, _ in chosen} - {b""}
    if len(people) > 1:
        raise _ambiguous(f"images of {len(people)} people")
    if len(chosen) > 2:
        raise _ambiguous(f"{len(chosen)} Total Body images")
    if not chosen:
        raise _nothing(headers, skipped[NOT_DICOM])
    strangers = [h for h in images.values() if h.identity.patient not in {b"", *people}]
    skipped["of another person"] = len(strangers) if people else 0
    tissue, bone = _pair(*chosen) if len(chosen) == 2 else (None, chosen[0])
    named = bone[0].is_total_body
    warnings = [] if named else [GIVEN_AREA if area else UNNAMED_IMAGE]
    warnings += [] if tissue else [LONE_IMAGE]
    if skipped.total():
        kinds = ", ".join(f"{count} {kind}" for kind, count in skipped.items() if count)
        warnings.append(f"Files skipped beside the Total Body image: {kinds}.")
    what = f"a DXA of {_area_shown(bone[0].protocol)}"
    return TotalBody(bone[1], tissue and tissue[1], named, what, tuple(warnings), bone[0].identity)


def check_whole_body(image: OrientedImage, chosen: TotalBody) -> None:
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


def _choose(images: list[_Candidate], area: Area | None) -> list[_Candidate]:
    """The images of the total body: by name, else by the user's word, else by size and shape."""
    if named := [c for c in images if c[0].is_total_body]:
        return named
    if area is not None and len({header.protocol for header, _ in images}) == 1:
        return images
    possible = [c for c in images if area or not c[0].is_other_area]
    by_size = [c for c in possible if is_whole_body(*c[0].size_mm)]
    return by_size or (possible if len(images) == 1 else [])


def _is_copy(one: _Candidate, other: _Candidate) -> bool:
    """Whether it is the same image in another encoding: by its identifier, else by its pixels."""
    (header, data), (earlier, other_data) = one, other
    if header.is_copy_of(earlier):
        return True
    number = header.instance_number
    if number is None or number != earlier.instance_number or header.syntax == earlier.syntax:
        return False
    with suppress(SpineliftError):
        this, that = (read_image(each, spacing=Spacing(1.0, 1.0)).pixels for each in (data, other_data))
        return this.shape == that.shape and float(np.abs(this - that).mean()) < MAX_CODING_NOISE
    return False


def _pair(one: _Candidate, other: _Candidate) -> tuple[_Candidate, _Candidate]:
    """Tissue and bone image."""
    numbers = [c[0].instance_number for c in (one, other)]
    if None in numbers or numbers[0] == numbers[1]:
        raise UnsupportedImageError(
            found="two Total Body images whose InstanceNumber is missing or equal",
            expected="the tissue image with the lower and the bone image with the higher number",
            do="Pass the bone image alone.",
        )
    if len({header.visit[1] for header, _ in (one, other)} - {""}) > 1:
        raise _ambiguous("Total Body images of two days")
    tissue, bone = sorted((one, other), key=lambda c: c[0].instance_number or 0)
    return tissue, bone


def _ambiguous(found: str) -> AmbiguousScanError:
    return AmbiguousScanError(
        found=found, expected="one person's single visit", do="Pass each visit as its own zip or folder."
    )


def _nothing(
    headers: list[DicomHeader], others: int
) -> NoDxaInArchiveError | WrongModalityError | WrongBodyPartError:
    """The error that says best why there is no Total Body image."""
    if not headers:
        return NoDxaInArchiveError(
            found=f"no DICOM image ({others} other files)",
            expected="the DXA images of a visit (UK Biobank field 20158)",
            do="Check that this is the right file.",
        )
    dxa = [header for header in headers if header.is_dxa]
    if not dxa:
        known = {h.modality if h.modality in _MODALITIES else "of another kind" for h in headers}
        return WrongModalityError(
            found=f"images of modality {', '.join(sorted(known))}",
            expected="DXA (modality BMD, CR, DX or OT)",
            do="Pass the DXA of the visit (UK Biobank field 20158).",
        )
    areas = sorted({_area_shown(header.protocol) for header in dxa})
    return WrongBodyPartError(
        found=f"DXA of {', '.join(areas)}",
        expected="a Total Body image",
        do=f"{WHOLE_VISIT} {PASS_AREA}",
    )


def _area_shown(protocol: str) -> str:
    """A ProtocolName for messages: common words for areas alone; other text may be of a person."""
    if not protocol:
        return "an area without name"
    words = re.split(r"[\s_-]+", protocol.lower())
    return protocol[:24] if set(words) <= _AREA_WORDS else "an area of another name"
