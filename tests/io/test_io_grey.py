"""Grey values of DICOM images against the standard's own definitions, over random tables and windows."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from io_cases import dataset, phantom, saved
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from spinelift.errors import UnsupportedImageError
from spinelift.io import read_dxa
from spinelift.io.dicom_image import to_grey
from spinelift.io.dicom_pixels import mask_unused_bits

SEEDS = st.integers(0, 2**32 - 1)
PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)


def header(bits: int = 12, *, signed: bool = False, **fields: object) -> Dataset:
    """A data set without pixels: 16 bits allocated, MONOCHROME2."""
    data = Dataset()
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, bits, bits - 1
    data.PixelRepresentation, data.PhotometricInterpretation = int(signed), "MONOCHROME2"
    for name, value in fields.items():
        setattr(data, name, value)
    return data


def table(values: np.ndarray, first: int = 0, bits: int = 16) -> Dataset:
    """Item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.LUTDescriptor = [len(values) % 65536, first, bits]
    item.LUTData = values.tobytes()
    item["LUTData"].VR = "OW"
    return item


@PROPERTY
@given(seed=SEEDS, first=st.integers(0, 500), modality=st.booleans(), voi=st.booleans())
def test_tables_are_those_of_pydicom(seed: int, first: int, modality: bool, voi: bool) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 4096, (9, 7)).astype(np.uint16)
    data = header()
    data.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    if modality:
        data.ModalityLUTSequence = [table(rng.integers(0, 4096, 3000).astype(np.uint16), first)]
    if voi:
        values = rng.integers(0, 65536, 2500).astype(np.uint16)
        values[:2] = 0, 65535
        data.VOILUTSequence = [table(values, first)]
    expected = apply_voi_lut(apply_modality_lut(cells, data), data).astype(float)
    if voi:
        expected *= 255 / 65535
    else:
        expected = (expected - expected.min()) * (255 / np.ptp(expected))
    np.testing.assert_allclose(to_grey(data, cells), expected, atol=1e-3)


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (8, np.uint16), (12, np.uint16)])
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
def test_tables_of_fewer_bits(sequence: str, bits: int, kind: type) -> None:
    cells = np.arange(4096).astype(np.uint16).reshape(64, 64)
    values = (np.arange(4096) >> (12 - bits)).astype(kind)
    grey = to_grey(header(**{sequence: [table(values, 0, bits)]}), cells)
    np.testing.assert_allclose(grey, values.reshape(64, 64) * (255 / (2**bits - 1)), atol=1e-3)


@PROPERTY
@given(
    seed=SEEDS,
    centre=st.floats(100, 4000),
    width=st.floats(1.5, 5000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    bits=st.sampled_from([8, 12, 16]),
    inverse=st.booleans(),
)
def test_windows_are_those_of_pydicom(seed, centre, width, function, bits, inverse) -> None:
    cells = np.random.default_rng(seed).integers(0, 2**bits, (9, 7)).astype(np.uint16)
    centre, width = round(centre, 3), round(width, 3)
    data = header(bits, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)
    with np.errstate(over="ignore"):
        expected = apply_voi_lut(cells, data) * (255 / (2**bits - 1))
    if inverse:
        data.PhotometricInterpretation = "MONOCHROME1"
        data.PresentationLUTShape = "INVERSE"
        expected = 255 - expected
    np.testing.assert_allclose(to_grey(data, cells), expected, atol=1e-3)


@PROPERTY
@given(
    seed=SEEDS,
    value=st.integers(-2048, 2047),
    extent=st.one_of(st.none(), st.integers(-300, 300)),
    signed=st.booleans(),
    inverse=st.booleans(),
)
def test_padding_is_air_and_has_no_part_in_the_scale(seed, value, extent, signed, inverse) -> None:
    rng = np.random.default_rng(seed)
    shift = 0 if signed else 2048
    value += shift
    limit = value if extent is None else int(np.clip(value + extent, -2048 + shift, 2047 + shift))
    low, high = min(value, limit), max(value, limit)
    cells = rng.integers(-2048 + shift, 2048 + shift, (12, 11)).astype(np.int16 if signed else np.uint16)
    padded = (cells >= low) & (cells <= high)
    data = header(signed=signed)
    data.add_new("PixelPaddingValue", "SS" if signed else "US", value)
    if extent is not None:
        data.add_new("PixelPaddingRangeLimit", "SS" if signed else "US", limit)
    if inverse:
        data.PhotometricInterpretation = "MONOCHROME1"
    seen = cells[~padded].astype(float)
    expected = (cells - seen.min()) * (255 / np.ptp(seen))
    expected = np.where(padded, 0, 255 - expected if inverse else expected)
    np.testing.assert_allclose(to_grey(data, cells), expected, atol=1e-3)


def test_padding_outside_the_stored_bits_and_of_the_other_sign() -> None:
    cells = np.array([[0, 100, 4095, 65535]], np.uint16)
    data = header(12, PixelPaddingValue=65535)
    np.testing.assert_allclose(to_grey(data, cells), [[0, 100 * 255 / 4095, 255, 0]], atol=1e-3)
    cells = np.array([[-2000, 0, 100]], np.int16)
    data = header(16, signed=True)
    data.add_new("PixelPaddingValue", "US", 63536)
    np.testing.assert_allclose(to_grey(data, cells), [[0, 0, 255]], atol=1e-3)


@PROPERTY
@given(seed=SEEDS, stored=st.integers(1, 16), free=st.integers(0, 15), signed=st.booleans())
def test_bits_are_taken_from_where_the_header_says(seed: int, stored: int, free: int, signed: bool) -> None:
    low = min(free, 16 - stored)
    rng = np.random.default_rng(seed)
    values = (
        rng.integers(-(2 ** (stored - 1)), 2 ** (stored - 1), 50)
        if signed
        else rng.integers(0, 2**stored, 50)
    )
    junk = rng.integers(0, 65536, 50) & ~((2**stored - 1) << low)
    cells = (
        (((values & (2**stored - 1)) << low) | junk).astype(np.uint16).view(np.int16 if signed else np.uint16)
    )
    np.testing.assert_array_equal(mask_unused_bits(cells, stored, low + stored - 1), values)


@pytest.mark.parametrize(("stored", "high"), [(12, 10), (12, 16), (17, 16), (0, 0)])
def test_impossible_bits_are_refused(stored: int, high: int) -> None:
    with pytest.raises(UnsupportedImageError, match="bits"):
        mask_unused_bits(np.zeros((2, 2), np.uint16), stored, high)


def test_bits_at_the_top_of_16_are_read_from_a_file(tmp_path) -> None:
    data = dataset(tmp_path)
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 15
    data.PixelData = (phantom().astype(np.uint16) << 8).tobytes()
    np.testing.assert_allclose(
        read_dxa(saved(data, tmp_path / "a.dcm")).bone, phantom() * (255 / 201), atol=1e-3
    )


def test_8_bits_obey_their_window_too(tmp_path) -> None:
    data = dataset(tmp_path)
    data.WindowCenter, data.WindowWidth = 128, 256
    np.testing.assert_array_equal(read_dxa(saved(data, tmp_path / "a.dcm")).bone, phantom())
    data.WindowCenter, data.WindowWidth = 50.5, 101
    expected = np.clip(phantom() * 2.55, 0, 255)
    np.testing.assert_allclose(read_dxa(saved(data, tmp_path / "a.dcm")).bone, expected, atol=1e-3)


def test_all_padding_is_blank_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not to_grey(header(PixelPaddingValue=5), np.full((4, 4), 5, np.uint16)).any()
