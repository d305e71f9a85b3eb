"""The few fields of an MR slice, parsed by hand where the file is plain, by pydicom where it is not.

A person has about 1,300 slices, and pydicom needs a millisecond or two for each. ``plain_fields`` walks the
top level of an uncompressed little-endian file (DICOM PS3.5, 7.1); for anything else it says None, and
pydicom, whose answer is the same by test, is asked.
"""

import struct
from collections.abc import Mapping

from pydicom.dataset import Dataset

from spinelift.io.dicom import damaged, parse, reading

Tag = tuple[int, int]
TRANSFER_SYNTAX: Tag = (0x0002, 0x0010)
PIXEL_DATA: Tag = (0x7FE0, 0x0010)
KEYWORDS: Mapping[str, Tag] = {
    "TransferSyntaxUID": TRANSFER_SYNTAX,
    "SOPClassUID": (0x0008, 0x0016),
    "SOPInstanceUID": (0x0008, 0x0018),
    "AcquisitionTime": (0x0008, 0x0032),
    "Modality": (0x0008, 0x0060),
    "SeriesDescription": (0x0008, 0x103E),
    "PatientID": (0x0010, 0x0020),
    "StudyInstanceUID": (0x0020, 0x000D),
    "SeriesInstanceUID": (0x0020, 0x000E),
    "SeriesNumber": (0x0020, 0x0011),
    "InstanceNumber": (0x0020, 0x0013),
    "ImagePositionPatient": (0x0020, 0x0032),
    "ImageOrientationPatient": (0x0020, 0x0037),
    "SamplesPerPixel": (0x0028, 0x0002),
    "PhotometricInterpretation": (0x0028, 0x0004),
    "NumberOfFrames": (0x0028, 0x0008),
    "Rows": (0x0028, 0x0010),
    "Columns": (0x0028, 0x0011),
    "PixelSpacing": (0x0028, 0x0030),
    "BitsAllocated": (0x0028, 0x0100),
    "BitsStored": (0x0028, 0x0101),
    "PixelRepresentation": (0x0028, 0x0103),
    "RescaleIntercept": (0x0028, 0x1052),
    "RescaleSlope": (0x0028, 0x1053),
}
"""What is read. ``PatientID`` and the study's identifier are compared and dropped."""

_OF_TAG = {tag: keyword for keyword, tag in KEYWORDS.items()}
_NUMBERS = {"SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation"}
_EXPLICIT = b"1.2.840.10008.1.2.1"
_IMPLICIT = b"1.2.840.10008.1.2"
_LONG_VRS = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}
_SHORT_VRS = {
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH"),
    *(b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
}
_UNDEFINED = 0xFFFFFFFF
_HEAD = struct.Struct("<HH2sH")
_LONG = struct.Struct("<I")
_IMPLICIT_HEAD = struct.Struct("<HHI")

Fields = dict[str, str]


def plain_fields(data: bytes) -> tuple[Fields, memoryview] | None:
    """Fields and stored pixels of an uncompressed little-endian file; None if it is of another kind."""
    if data[128:132] != b"DICM":
        return None
    try:
        meta, start = _walk(data, 132, explicit=True, only_group_2=True)
        syntax = meta.get("TransferSyntaxUID", "").encode()
        if syntax not in (_EXPLICIT, _IMPLICIT):
            return None
        fields, end = _walk(data, start, explicit=syntax == _EXPLICIT, only_group_2=False)
    except (struct.error, _NotPlainError):
        return None
    if end == 0:
        return None
    return fields, memoryview(data)[end:]


class _NotPlainError(Exception):
    """Something that only pydicom can read."""


def _walk(data: bytes, at: int, *, explicit: bool, only_group_2: bool) -> tuple[Fields, int]:
    """Fields from ``at``, and where the pixels (or what follows group 2) start; 0 if there are none."""
    fields: Fields = {}
    size = len(data)
    last: Tag = (0, 0)
    while at + 8 <= size:
        group, element, vr, length = _HEAD.unpack_from(data, at)
        if only_group_2 and group != 2:
            return fields, at
        if (group, element) <= last:
            raise _NotPlainError
        last = (group, element)
        value = at + 8
        if not explicit:
            length = _IMPLICIT_HEAD.unpack_from(data, at)[2]
        elif vr in _LONG_VRS:
            length, value = _LONG.unpack_from(data, value)[0], value + 4
        elif vr not in _SHORT_VRS:
            raise _NotPlainError
        if length == _UNDEFINED or value + length > size:
            raise _NotPlainError
        if last == PIXEL_DATA:
            return fields, value
        keyword = _OF_TAG.get(last)
        if keyword is not None:
            fields[keyword] = _shown(keyword, data[value : value + length])
        at = value + length
    return fields, 0


def _shown(keyword: str, value: bytes) -> str:
    if keyword in _NUMBERS:
        if len(value) != 2:
            raise _NotPlainError
        return str(value[0] | value[1] << 8)
    return value.decode("latin-1").strip(" \0")


def slow_fields(data: bytes) -> tuple[Fields, Dataset] | None:
    """The same by pydicom, with the data set for its pixels; None if the file holds no pixels.

    Raises
    ------
    TruncatedDicomError
        The file ends, or turns to nonsense, before its pixels.
    """
    with reading():
        dataset, _ = parse(data)
        fields: Fields = {}
        for keyword in KEYWORDS:
            value = dataset.file_meta.get(keyword) if keyword == "TransferSyntaxUID" else dataset.get(keyword)
            if value is None or value == "":
                continue
            several = not isinstance(value, str) and hasattr(value, "__iter__")
            fields[keyword] = "\\".join(map(str, value)) if several else str(value).strip()
        if "PixelData" in dataset:
            return fields, dataset
        if fields.get("Modality") == "MR":
            raise damaged()
        return None
