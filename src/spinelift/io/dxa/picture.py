"""PNG and TIFF pictures: pixels only, so the pixel size must come from the user."""

import struct
import warnings
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

from spinelift.errors import UnsupportedImageError
from spinelift.geometry.arrays import Float32
from spinelift.io.dicom_image import MAX_PIXELS, stretch

_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, RuntimeError),
    *(AttributeError, struct.error, zlib.error, Image.DecompressionBombError),
)


def read_picture(data: bytes) -> Float32:
    """Grey picture [H, W], 0 to 255; 16-bit ones are stretched from their minimum to their maximum.

    Raises UnsupportedImageError if it is damaged, coloured, or of several pages or another depth.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(data), formats=("PNG", "TIFF")) as picture:
                return _grey(picture)
        except _DAMAGE:
            raise _unsupported("a damaged PNG or TIFF file", "Copy it again, or export it anew.") from None


def _grey(picture: Image.Image) -> Float32:
    if getattr(picture, "n_frames", 1) > 1:
        raise _unsupported("a picture of several pages", "Export the bone image alone.")
    if picture.width * picture.height > MAX_PIXELS:
        raise _unsupported(f"{picture.width} × {picture.height} pixels", "Export it at the scanner's size.")
    if picture.mode in ("I", "I;16", "I;16B", "I;16L"):
        return stretch(np.asarray(picture, np.float64))
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "P", "PA"):
        raise _unsupported(f"a picture of mode {picture.mode!r}", "Export it as 8- or 16-bit grey.")
    if picture.mode == "L":
        return np.asarray(picture, np.float32)
    rgb = np.asarray(picture.convert("RGB"))
    if (rgb != rgb[..., :1]).any():
        raise _unsupported("a coloured picture", "Export it as grey, without marks or colour maps.")
    return rgb[..., 0].astype(np.float32)


def _unsupported(found: str, do: str) -> UnsupportedImageError:
    return UnsupportedImageError(found=found, expected="one grey PNG or TIFF of 8 or 16 bits", do=do)
