"""PNG and TIFF in all the ways that they store the same grey values: each is read right, or refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from io_cases import phantom
from PIL import Image

from spinelift.errors import UnsupportedImageError
from spinelift.io.dxa.picture import read_picture

PROPERTY = settings(max_examples=40, deadline=None, derandomize=True)
GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def scanlines(pixels, filtered):
    """Rows of [H, W, bytes], filtered by Sub or not at all (PNG 9.2)."""
    rows = pixels.reshape(len(pixels), -1)
    if filtered:
        rows = rows.copy()
        rows[:, pixels.shape[2] :] -= pixels.reshape(len(pixels), -1)[:, : -pixels.shape[2]]
    return b"".join(bytes([filtered]) + row.tobytes() for row in rows)


def png(values, kind, *, filtered=0, interlaced=False, more=b""):
    """16-bit PNG of values [H, W, samples]."""
    pixels = np.ascontiguousarray(values.astype(">u2")).view(np.uint8).reshape(*values.shape[:2], -1)
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    data = b"".join(scanlines(pixels[y::dy, x::dx], filtered) for y, x, dy, dx in passes)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, int(interlaced))
    body = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def scaled(values, where):
    """Values from their minimum to their maximum where they count."""
    low, high = values[where].min(), values[where].max()
    return np.where(where, (values - low) * (255 / ((high - low) or 1)), 0)


@PROPERTY
@given(
    seed=st.integers(0, 2**32 - 1),
    top=st.sampled_from([300, 4095, 65535]),
    kind=st.sampled_from([GREY, GREY_ALPHA]),
    filtered=st.integers(0, 1),
    interlaced=st.booleans(),
)
def test_all_16_bits_of_a_png_count(seed, top, kind, filtered, interlaced):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, top + 1, (23, 17)).astype(float)
    opaque = rng.random(values.shape) < 0.8 if kind == GREY_ALPHA else np.ones(values.shape, bool)
    samples = [values, np.where(opaque, 65535, 0)][: 1 + (kind == GREY_ALPHA)]
    data = png(np.stack(samples, -1), kind, filtered=filtered, interlaced=interlaced)
    np.testing.assert_allclose(read_picture(data), scaled(values, opaque), atol=1e-3)


@pytest.mark.parametrize("kind", [COLOUR, COLOUR_ALPHA])
def test_grey_as_16_bit_colours_is_read_from_its_upper_bits_or_refused(kind):
    values = phantom().astype(float)
    samples = [values * 257] * 3 + [np.full(values.shape, 65535)] * (kind == COLOUR_ALPHA)
    got = read_picture(png(np.stack(samples, -1), kind))
    np.testing.assert_allclose(got, values * (255 / values.max()), atol=1e-3)
    dark = np.stack([values * 16] * 3 + samples[3:], -1)
    with pytest.raises(UnsupportedImageError, match="16-bit colours"):
        read_picture(png(dark, kind))


@pytest.mark.parametrize("name", [b"gAMA", b"sBIT", b"pHYs", b"tEXt"])
def test_chunks_about_the_picture_change_no_value(name):
    values = phantom().astype(float)
    content = {b"gAMA": struct.pack(">I", 45455), b"sBIT": b"\x0c", b"pHYs": struct.pack(">IIB", 9, 7, 1)}
    more = chunk(name, content.get(name, b"Comment\0x"))
    plain, with_more = (read_picture(png(values[..., None] * 16, GREY, more=m)) for m in (b"", more))
    np.testing.assert_array_equal(with_more, plain)


def tiff(values, *, order, sample_format, photometric):
    """Uncompressed TIFF of one strip."""
    raw = values.astype(values.dtype.newbyteorder(order)).tobytes()
    height, width = values.shape
    bits = 8 * values.dtype.itemsize
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    tags |= {279: len(raw), 339: sample_format}
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(raw))
    return start + raw + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@PROPERTY
@given(
    dtype=st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", "f2"]),
    order=st.sampled_from("<>"),
    white_is_zero=st.booleans(),
    data=st.data(),
)
def test_each_sample_format_of_tiff_is_read_right_or_refused(dtype, order, white_is_zero, data):
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    ends = (-1000.0, 1000.0) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = rng.uniform(*ends, (19, 14)).astype(dtype)
    values[0, :2] = ends
    expected = scaled(-values.astype(float) if white_is_zero else values.astype(float), values == values)
    picture = tiff(
        values,
        order=order,
        sample_format={"u": 1, "i": 2, "f": 3}[dtype.kind],
        photometric=int(not white_is_zero),
    )
    if (dtype.str[1:], white_is_zero) not in READ:
        try:
            got = read_picture(picture)
        except UnsupportedImageError:
            return
    got = read_picture(picture)
    np.testing.assert_allclose(got, expected, atol=2e-3)


READ = {
    *(("u1", False), ("u1", True), ("i1", False), ("i2", False), ("i4", False), ("f4", False)),
}
"""Types that must be read, whatever Pillow does not take."""


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floating_point_that_is_not_finite_is_refused(value):
    values = phantom().astype(np.float32)
    values[3, 3] = value
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    with pytest.raises(UnsupportedImageError, match="not finite"):
        read_picture(stream.getvalue())
