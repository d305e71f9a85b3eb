"""Stored pixels of a DICOM image: decoded where they are compressed, and cut to the bits that count."""

import math

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options, pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from spinelift.errors import MissingExtraError, UnsupportedImageError
from spinelift.geometry.arrays import Integers
from spinelift.io.decoder import decode
from spinelift.io.dicom_parse import damaged

STORED = (
    *(
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "PlanarConfiguration",
    ),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)
"""Elements that say how pixels are stored."""
_JPEG_XL = ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112")
_HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")


def decode_pixels(dataset: Dataset) -> Integers:
    """Stored cells [rows, columns], with the unused bits of uncompressed ones.

    Raises TruncatedDicomError, UnsupportedImageError or MissingExtraError.
    """
    little_endian = dataset.original_encoding[1]
    guess = ImplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or guess))
    dataset.file_meta.TransferSyntaxUID = syntax
    needed = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    length = len(dataset.PixelData)
    if syntax.is_transfer_syntax and not syntax.is_compressed:
        if length < needed:
            raise damaged()
    elif length > 2 * needed + 65536:
        raise unsupported("compressed pixels that are longer than plain ones")
    else:
        _check_decoder(syntax)
        return _decoded(dataset, syntax)
    stored: Integers = pixel_array(dataset, correct_unused_bits=False)
    if stored.shape != (dataset.Rows, dataset.Columns):
        raise damaged()
    return stored


def _decoded(dataset: Dataset, syntax: UID) -> Integers:
    """Compressed pixels [rows, columns]. RLE keeps whole cells; other codecs hold values alone."""
    options = as_pixel_options(dataset, pixel_keyword="PixelData", correct_unused_bits=False)
    stored = decode(syntax, options, dataset.PixelData)
    shape = dataset.Rows, dataset.Columns
    if stored is None or stored.size != math.prod(shape):
        raise damaged()
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if syntax != RLELossless and -(1 << bits - 1) <= stored.min() and stored.max() < 1 << bits:
        dataset.HighBit = bits - 1
    return stored.reshape(shape)


def used_bits(dataset: Dataset, cells: Integers) -> Integers:
    """Values of the stored cells, by the header."""
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    return mask_unused_bits(cells, bits, dataset.get("HighBit"))


def mask_unused_bits(stored: Integers, bits_stored: int, high_bit: int | None) -> Integers:
    """Values of the ``bits_stored`` bits up to ``high_bit``, sign extended where the type is signed.

    The other bits may hold anything (PS3.5, 8.1.1), such as overlays of old scanners. Raises
    UnsupportedImageError if the bits do not fit into those allocated.
    """
    allocated = 8 * stored.dtype.itemsize
    high_bit = bits_stored - 1 if high_bit is None else high_bit
    if not 0 < bits_stored <= high_bit + 1 <= allocated:
        raise unsupported(f"pixels of {bits_stored} bits up to bit {high_bit}")
    unused = allocated - bits_stored
    return np.right_shift(np.left_shift(stored, allocated - 1 - high_bit), unused) if unused else stored


def _check_decoder(syntax: UID) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        jpeg_xl = syntax.startswith(_JPEG_XL)
        known = syntax.name if syntax.name != syntax else "an unknown transfer syntax"
        raise UnsupportedImageError(
            found=f"pixels stored as {'JPEG XL' if jpeg_xl else known[:40]}",
            expected="uncompressed pixels, or RLE, JPEG, JPEG-LS or JPEG 2000",
            do="Decode them with djxl or the package imagecodecs." if jpeg_xl else "Convert the file.",
        ) from None
    if not available:
        packages = "'spinelift[jpeg]'" if syntax not in _HTJ2K else "pylibjpeg pylibjpeg-openjpeg"
        raise MissingExtraError(
            found=f"pixels compressed as {syntax.name}, and no decoder for them",
            expected="a decoder for this transfer syntax",
            do=f"Run: pip install {packages}",
        )


def unsupported(found: str) -> UnsupportedImageError:
    """The error for an image of another form."""
    return UnsupportedImageError(
        found=found,
        expected="one grey frame (MONOCHROME1 or MONOCHROME2) of 8 or 16 bits",
        do="Export the bone image as the scanner made it, not a screen capture.",
    )
