"""PNG and TIFF pictures: pixels only, so the pixel size must come from the user."""

import math
import struct
import warnings
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from spinelift.errors import UnsupportedImageError
from spinelift.geometry.arrays import Float32
from spinelift.io.dicom_image import MAX_PIXELS, stretch
from spinelift.io.dxa.checksums import check_png, check_tiff

_DEEP = ("I", "I;16", "I;16B", "I;16L")
_PHOTOMETRIC, _TILE_SIZE = 262, (322, 323)
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
            with Image.open(BytesIO(data), formats=("PNG", "TIFF")) as picture:
                _check_form(picture)
                _check_sums(data, picture)
                # Pillow inverts 8-bit TIFFs that store white as 0, and no deeper ones
                tags = picture.tag_v2 if isinstance(picture, TiffImageFile) else {}
                return _grey(ImageOps.exif_transpose(picture), tags.get(_PHOTOMETRIC) == 0)
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


def _grey(picture: Image.Image, white_is_zero: bool) -> Float32:
    transparency = picture.info.get("transparency")
    if picture.mode in _DEEP:
        values = np.asarray(picture, np.float64)
        clear = values == transparency if isinstance(transparency, int) else np.zeros(values.shape, bool)
        return np.where(clear, np.float32(0), stretch(-values if white_is_zero else values, ~clear))
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "P", "PA"):
        raise _unsupported(f"a picture of mode {picture.mode!r}", "Export it as 8- or 16-bit grey.")
    if picture.mode == "L" and transparency is None:
        return np.asarray(picture, np.float32)
    rgba = np.asarray(picture.convert("RGBA"), np.float32)
    grey, opacity = rgba[..., 0], rgba[..., 3] / np.float32(255)
    if ((rgba[..., :3] != grey[..., None]).any(axis=-1) & (opacity > 0)).any():
        raise _unsupported("a coloured picture", "Export it as grey, without marks or colour maps.")
    return grey * opacity


def _unsupported(found: str, do: str) -> UnsupportedImageError:
    return UnsupportedImageError(found=found, expected="one grey PNG or TIFF of 8 or 16 bits", do=do)
