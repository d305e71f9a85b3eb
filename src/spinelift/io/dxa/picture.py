"""PNG and TIFF pictures: pixels only, so the pixel size must come from the user."""

import math
import struct
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from spinelift.errors import UnsupportedImageError
from spinelift.geometry.arrays import Float, Float32
from spinelift.io.dicom_image import MAX_PIXELS, stretch
from spinelift.io.dxa.checksums import check_png, check_tiff

_DEEP = ("I", "I;16", "I;16B", "I;16L", "F")
_BITS, _PHOTOMETRIC, _TILE_SIZE, _SAMPLE_FORMAT = 258, 262, (322, 323), 339
_SIGNED = 2
_GREY_ALPHA_16, _RGBA_8 = b"\x10\x04", b"\x08\x06"
"""Bit depth and colour type of PNG (11.2.1)."""
_MOST_BYTES_A_PIXEL = 16
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, RuntimeError),
    *(AttributeError, struct.error, zlib.error, Image.DecompressionBombError),
)


def read_picture(data: bytes) -> Float32:
    """Grey picture [H, W], 0 to 255, turned as its EXIF orientation says; what is transparent is 0.

    Deeper ones are stretched from their minimum to their maximum.

    Raises UnsupportedImageError if it is damaged, coloured, or of several pages or another depth.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            split = data[24:26] == _GREY_ALPHA_16 and data.startswith(b"\x89PNG")
            with Image.open(BytesIO(_split(data) if split else data), formats=("PNG", "TIFF")) as picture:
                _check_form(picture)
                _check_sums(data, picture)
                turned = ImageOps.exif_transpose(picture)
                if split:
                    return _joined(np.asarray(turned, np.float64))
                tags = picture.tag_v2 if isinstance(picture, TiffImageFile) else {}
                bits = max(tags.get(_BITS, (data[24],)))
                if picture.mode in _DEEP:
                    return _deep(turned, tags)
                return _signed(turned) if _is_signed(tags) else _grey(turned, bits)
        except UnidentifiedImageError:
            found = "a PNG or TIFF file that is damaged, or of a form that is not read"
            raise _unsupported(found, "Copy it again, or export it as 8- or 16-bit grey.") from None
        except _DAMAGE:
            raise _unsupported("a damaged PNG or TIFF file", "Copy it again, or export it anew.") from None


def _check_form(picture: Image.Image) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise _unsupported(f"{picture.width} × {picture.height} pixels", "Export it at the scanner's size.")
    with suppress(EOFError):
        picture.seek(1)  # counting the pages would read them all
        raise _unsupported("a picture of several pages", "Export the bone image alone.")
    picture.seek(0)


def _check_sums(data: bytes, picture: Image.Image) -> None:
    most = (picture.width + 1) * (picture.height + 1) * _MOST_BYTES_A_PIXEL
    if isinstance(picture, TiffImageFile):
        tile = math.prod(picture.tag_v2.get(tag, 1) for tag in _TILE_SIZE)
        if tile > MAX_PIXELS:
            raise ValueError("tile")
        check_tiff(data, picture, most + tile * _MOST_BYTES_A_PIXEL)
    else:
        check_png(data, most)


def _split(data: bytes) -> bytes:
    """A PNG of 16-bit grey and alpha as 8-bit RGBA, of the same bytes: Pillow drops each second one."""
    header = data[12:24] + _RGBA_8 + data[26:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _joined(rgba: Float) -> Float32:
    """Grey [H, W] of what :func:`_split` made."""
    grey, alpha = 256 * rgba[..., 0] + rgba[..., 1], 256 * rgba[..., 2] + rgba[..., 3]
    return (stretch(grey, alpha > 0) * (alpha / 65535)).clip(0).astype(np.float32)


def _deep(picture: Image.Image, tags: Mapping[int, Any]) -> Float32:
    """Grey of more than 8 bits, or floating point."""
    values = np.asarray(picture, np.float64)
    if not np.isfinite(values).all():
        raise _unsupported("a picture with values that are not finite", "Export it as 8- or 16-bit grey.")
    if picture.mode == "I" and tags and not _is_signed(tags):
        values = values % 2**32  # Pillow reads 32 bits as signed
    transparency = picture.info.get("transparency")
    clear = values == transparency if isinstance(transparency, int) else np.zeros(values.shape, bool)
    # Pillow inverts 8-bit TIFFs that store white as 0, and no deeper ones
    shown = -values if tags.get(_PHOTOMETRIC) == 0 else values
    return np.where(clear, np.float32(0), stretch(shown, ~clear))


def _is_signed(tags: Mapping[int, Any]) -> bool:
    return _SIGNED in tags.get(_SAMPLE_FORMAT, ())


def _signed(picture: Image.Image) -> Float32:
    """Signed grey of 8 bits, which Pillow reads as unsigned."""
    if picture.mode != "L":
        raise _unsupported("a picture of signed colours", "Export it as 8- or 16-bit grey.")
    return stretch(np.asarray(picture).view(np.int8).astype(np.float64))


def _grey(picture: Image.Image, bits: int) -> Float32:
    """Grey of 8 bits, stored with alpha, as colours or as a palette too."""
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "P", "PA"):
        raise _unsupported(f"a picture of mode {picture.mode!r}", "Export it as 8- or 16-bit grey.")
    if picture.mode == "L" and picture.info.get("transparency") is None:
        return np.asarray(picture, np.float32)
    rgba = np.asarray(picture.convert("RGBA"), np.float32)
    grey, opacity = rgba[..., 0], rgba[..., 3] / np.float32(255)
    if ((rgba[..., :3] != grey[..., None]).any(axis=-1) & (opacity > 0)).any():
        raise _unsupported("a coloured picture", "Export it as grey, without marks or colour maps.")
    if bits > 8:  # of which Pillow keeps the upper 8
        if (grey * opacity).max() < 128:
            raise _unsupported("dark 16-bit colours", "Export it as 8- or 16-bit grey.")
        grey = stretch(grey.astype(np.float64), opacity > 0).clip(0)
    return grey * opacity


def _unsupported(found: str, do: str) -> UnsupportedImageError:
    return UnsupportedImageError(found=found, expected="one grey PNG or TIFF of 8 or 16 bits", do=do)
