"""Checksums of PNG and TIFF files, which Pillow does not compare."""

import struct
import zlib
from collections.abc import Iterator

from PIL.TiffImagePlugin import TiffImageFile

_PNG_MAGIC = 8
_COMPRESSION, _DEFLATE = 259, (8, 32946)
_PLACES = ((273, 279), (324, 325))
"""Tags of the offsets and lengths of strips, and of tiles."""


def check_png(data: bytes, most: int) -> None:
    """Compare the checksum of each chunk (PNG, 5.3), and of the pixels; a ValueError says that it is damaged.

    The pixels have at most ``most`` bytes when expanded, or a ValueError is raised.
    """
    inflater, ended = zlib.decompressobj(), False
    for kind, chunk, checksum in _chunks(data):
        if zlib.crc32(chunk, zlib.crc32(kind)) != checksum:
            raise ValueError("checksum")
        if kind == b"IDAT":
            most -= _inflate(inflater, chunk, most)
        ended = kind == b"IEND"
    if not inflater.eof or not ended:
        raise ValueError("end")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Kind, content and checksum of each chunk, up to the last."""
    view, at, kind = memoryview(data), _PNG_MAGIC, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        yield kind, view[at + 8 : at + 8 + length], checksum
        at += 12 + length


def check_tiff(data: bytes, picture: TiffImageFile, most: int) -> None:
    """Expand each deflated strip or tile to its checksum, as :func:`check_png` does."""
    if picture.tag_v2.get(_COMPRESSION) not in _DEFLATE:
        return
    for offsets, lengths in _PLACES:
        places = zip(picture.tag_v2.get(offsets, ()), picture.tag_v2.get(lengths, ()), strict=True)
        for offset, length in places:
            inflater = zlib.decompressobj()
            most -= _inflate(inflater, memoryview(data)[offset : offset + length], most)
            if not inflater.eof:
                raise ValueError("end")


def _inflate(inflater: "zlib._Decompress", data: memoryview, most: int) -> int:
    """Number of bytes that expanding gives; they are not kept."""
    size = len(inflater.decompress(data, most + 1))
    if size > most:
        raise ValueError("size")
    return size
