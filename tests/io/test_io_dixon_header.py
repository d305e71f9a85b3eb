"""The fast header reader against pydicom: every field, on every file it reads; unused bits of pixels."""

import io
import struct
import zipfile

import numpy as np
import pydicom
import pytest
from dixon_cases import phantom_stations
from hypothesis import given
from hypothesis import strategies as st
from io_cases import visit_zip
from pydicom.pixels import set_pixel_data
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from spinelift.errors import UnsupportedImageError
from spinelift.io.dicom import reading
from spinelift.io.dicom_pixels import mask_unused_bits
from spinelift.io.dixon.header import KEYWORDS, plain_fields, slow_fields
from spinelift.io.dixon.slices import collect_slices
from spinelift.simulate.archive.dixon import write_dixon_zip

NUMERIC = (b"DS", b"IS", b"US")
LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")
UNDEFINED = 0xFFFFFFFF
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def parts(fields):
    """Values of each field as numbers, or as text without padding."""
    return {
        keyword: [float(v) if KEYWORDS[keyword][1] in NUMERIC else v for v in text.split("\\")]
        for keyword, text in fields.items()
    }


def by_pydicom(dataset, charset):
    """The same fields as pydicom converts them, with no code of the reader's."""
    out = {}
    with reading():
        for keyword, (_, vr) in KEYWORDS.items():
            group = dataset.file_meta if keyword == "TransferSyntaxUID" else dataset
            value = group.get(keyword)
            values = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
            if vr in NUMERIC:
                values = [float(v) for v in values if v not in (None, "")]
            else:
                stored = [str(v or "").encode(charset).decode("latin-1") for v in values]
                values = [v.strip(" \0") for v in stored]
            if values and values != [""]:
                out[keyword] = values
    return out


def agree(data, charset="latin-1"):
    """Both readers give the same of a file that the fast one reads; returns the fields."""
    fields, pixels = plain_fields(data)
    slow, dataset = slow_fields(data)
    assert fields == slow
    assert bytes(pixels) == (dataset.PixelData or b"")
    with reading():
        fresh = pydicom.dcmread(io.BytesIO(data), force=True)
    assert parts(fields) == by_pydicom(fresh, charset)
    return fields


def slices(path):
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist() if name.endswith(".dcm")]


@pytest.fixture(scope="module")
def mri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mri")
    return slices(
        write_dixon_zip(folder, phantom_stations(), eid=7, instance=2, rng=np.random.default_rng(7))
    )


def encoded(dataset, **options):
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True, **options)
    return buffer.getvalue()


def test_readers_agree_on_every_file_of_an_mri(mri):
    assert len(mri) > 600
    written = {keyword for data in mri for keyword in agree(data)}
    assert written == KEYWORDS.keys() - {"NumberOfFrames", "RescaleIntercept", "RescaleSlope"}


def test_readers_agree_on_every_file_of_a_dxa(tmp_path):
    for data in slices(visit_zip(tmp_path)):
        assert agree(data)["Modality"] == "CR"  # implicit VR


def test_other_encodings_are_left_to_pydicom(mri):
    fields = agree(mri[0])
    implicit = pydicom.dcmread(io.BytesIO(mri[0]))
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data = encoded(implicit, implicit_vr=True, little_endian=True)
    assert agree(data) == fields | {"TransferSyntaxUID": ImplicitVRLittleEndian}
    little = pydicom.dcmread(io.BytesIO(mri[0]))
    big = pydicom.Dataset.from_json(little.to_json())
    big.file_meta = little.file_meta
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    big.PixelData = little.pixel_array.astype(">u2").tobytes()
    packed = pydicom.dcmread(io.BytesIO(mri[0]))
    packed.compress(RLELossless, generate_instance_uid=False)
    for other in (encoded(big, implicit_vr=False, little_endian=False), encoded(packed)):
        assert plain_fields(other) is None
        slow, _ = slow_fields(other)
        assert parts(slow) == parts(fields | {"TransferSyntaxUID": slow["TransferSyntaxUID"]})
    for broken in (mri[0][:-10], mri[0][132:], b"no dicom" * 40, b""):
        assert plain_fields(broken) is None


# Headers of any content: values by tag, written by hand so that padding, lengths and order are free.


def element(tag, vr, value, explicit, *, length=None):
    size = len(value) if length is None else length
    if not explicit:
        return struct.pack("<HHI", *tag, size) + value
    if vr in LONG:
        return struct.pack("<HH2sHI", *tag, vr, 0, size) + value
    return struct.pack("<HH2sH", *tag, vr, size) + value


PAD = st.sampled_from(["", " ", "  "])
PLAIN_TEXT = st.text("abcXYZ012_^ .äöü-", max_size=9)
UIDS = st.from_regex(r"[12](\.(0|[1-9][0-9]{0,3})){1,5}", fullmatch=True)
NUMBER = st.one_of(
    st.integers(-9999, 9999).map(str),
    st.floats(-999, 999).map(lambda v: f"{v:.6f}"),
    st.sampled_from(["+1", "007", "1e3", "-.5"]),
)


def listed(values):
    return st.lists(st.tuples(values, PAD).map("".join), min_size=1, max_size=4).map("\\".join)


@st.composite
def headers(draw):
    """(file, character set, whether it holds an undefined length)."""
    explicit = draw(st.booleans())
    charset = draw(st.sampled_from(["latin-1", "utf-8"]))
    values = {
        b"US": st.integers(0, 65535).map(lambda v: struct.pack("<H", v)),
        b"IS": listed(st.integers(-999, 99999).map(str)).map(str.encode),
        b"DS": listed(NUMBER).map(str.encode),
        b"UI": st.tuples(UIDS, st.sampled_from(["", "\0"])).map("".join).map(str.encode),
        b"TM": st.sampled_from([b"", b"101112", b"101112.5 "]),
        b"CS": listed(st.sampled_from(["MR", "ORIGINAL", "MONOCHROME2"])).map(str.encode),
        b"LO": st.tuples(PLAIN_TEXT, PAD).map("".join).map(lambda text: text.encode(charset)),
    }
    name = b"ISO_IR 100" if charset == "latin-1" else b"ISO_IR 192"
    found = [((0x0008, 0x0005), b"CS", name, None)]
    for keyword, (tag, vr) in KEYWORDS.items():
        if keyword != "TransferSyntaxUID" and (keyword == "Modality" or draw(st.booleans())):
            found.append((tag, vr, draw(values[vr]), None))
    item = element((0x0008, 0x1150), b"UI", b"1.2.3\0", explicit)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    for tag in ((0x0008, 0x1140), (0x0020, 0x9113), (0x0040, 0x0275)):
        kind = draw(st.sampled_from(["none", "defined", "undefined"]))
        if kind == "defined":
            found.append((tag, b"SQ", item * draw(st.integers(0, 2)), None))
        elif kind == "undefined":
            found.append((tag, b"SQ", item + SEQUENCE_END, UNDEFINED))
    if draw(st.booleans()):
        found.append(((0x0009, 0x0010), b"LO", b"MAKER ", None))
        found.append(((0x0009, 0x1001), b"UN", draw(st.binary(max_size=9)), None))
    found.append(((0x7FE0, 0x0010), b"OW", draw(st.binary(max_size=12)), None))
    if draw(st.booleans()):
        found.append(((0xFFFC, 0xFFFC), b"OB", b"\0" * draw(st.integers(0, 5)), None))
    syntax = (ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian).encode()
    meta = element((0x0002, 0x0010), b"UI", syntax + b"\0" * (len(syntax) % 2), True)
    meta = element((0x0002, 0x0000), b"UL", struct.pack("<I", len(meta)), True) + meta
    body = b"".join(element(tag, vr, v, explicit, length=n) for tag, vr, v, n in sorted(found))
    undefined = any(n == UNDEFINED for *_, n in found)
    return bytes(128) + b"DICM" + meta + body, charset, undefined


@given(headers())
def test_readers_agree_on_any_header(case):
    data, charset, undefined = case
    assert (plain_fields(data) is None) == undefined
    if not undefined:
        agree(data, charset)


@pytest.mark.parametrize(("vr", "value"), [(b"IS", b"8 "), (b"SS", b"\xff\xff"), (b"UL", b"\x08\0\0\0")])
def test_an_unexpected_representation_is_left_to_pydicom(vr, value):
    syntax = ExplicitVRLittleEndian.encode() + b"\0"
    head = bytes(128) + b"DICM" + element((0x0002, 0x0010), b"UI", syntax, True)
    rows, pixels = element((0x0028, 0x0010), vr, value, True), element((0x7FE0, 0x0010), b"OW", b"", True)
    assert plain_fields(head + rows + pixels) is None


# Bits above BitsStored.


def with_unused_bits(data, garbage, *, bits=12, signed=False, slow=False):
    dataset = pydicom.dcmread(io.BytesIO(data))
    values = dataset.pixel_array & (2**bits - 1)
    set_pixel_data(dataset, values.astype(np.uint16), "MONOCHROME2", bits, generate_instance_uid=False)
    dataset.PixelData = (values | garbage).astype("<u2").tobytes()
    dataset.PixelRepresentation = int(signed)
    if slow:
        dataset.ReferencedImageSequence = [pydicom.Dataset()]
        dataset["ReferencedImageSequence"].is_undefined_length = True
    out = encoded(dataset)
    assert (plain_fields(out) is None) == slow
    return out, values.astype(np.int32)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_those_stored_are_masked(mri, slow, signed):
    series = {plain_fields(d)[0]["SeriesDescription"]: d for d in mri}
    used = [series["Dixon_noBH_F"], series["Dixon_noBH_W"]]
    changed, values = zip(*(with_unused_bits(d, 0xF000, signed=signed, slow=slow) for d in used), strict=True)
    for found, stored in zip(collect_slices(changed).slices, values, strict=True):
        expected = np.where(stored >= 2048, 0, stored) if signed else stored
        np.testing.assert_array_equal(found.pixels, expected)
        assert found.pixels.max() <= 4095


@given(st.integers(1, 16), st.booleans(), st.integers(0, 65535))
def test_masked_values_are_those_of_the_stored_bits(bits, signed, raw):
    stored = np.array([raw], np.uint16).view(np.int16 if signed else np.uint16)
    kept = raw % 2**bits
    expected = kept - 2**bits if signed and kept >= 2 ** (bits - 1) else kept
    assert mask_unused_bits(stored, bits, bits - 1)[0] == expected
    assert mask_unused_bits(stored, bits, None)[0] == expected


@pytest.mark.parametrize(("bits", "high_bit"), [(17, 16), (0, None), (12, 16), (12, 10)])
def test_bits_that_do_not_fit_are_refused(bits, high_bit):
    with pytest.raises(UnsupportedImageError, match=f"{bits} bits"):
        mask_unused_bits(np.zeros(2, np.uint16), bits, high_bit)
