"""DICOM data sets from bytes: the elements that are asked for, whatever the rest of the file holds.

Only as many elements are read as a scan can have: pydicom makes an object of each item of a sequence.
"""

import logging
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO

import pydicom
import pydicom.config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from spinelift.errors import TruncatedDicomError, UnsupportedImageError

MAX_INFLATED_BYTES = 64 << 20
"""Largest size of a deflated file when expanded."""
MAX_HEADER_VALUE = 1 << 20
"""Most bytes of one value before the pixels; tables have 128 KiB."""
MAX_TEXT = 4096
"""Most bytes of one value that is converted to text or numbers."""

_DEFLATED, _PLAIN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"
_CHARACTER_SET, _PIXEL_DATA = Tag("SpecificCharacterSet"), Tag("PixelData")
_TABLES = (Tag("ModalityLUTSequence"), Tag("VOILUTSequence"))
_PIXELS = (Tag("FloatPixelData"), Tag("DoubleFloatPixelData"), _PIXEL_DATA)
_UNDEFINED = 0xFFFFFFFF
_DAMAGE = (
    *(InvalidDicomError, BytesLengthException, EOFError, OSError, ValueError, TypeError, AttributeError),
    *(NotImplementedError, OverflowError, LookupError, RecursionError, AssertionError, ArithmeticError),
    *(struct.error, zlib.error, MemoryError),
)


class Budget:
    """What may still be read of the headers of one archive; ``left`` counts reads, of which an element is 2.

    Each further file adds ``A_FILE``: one file of a million elements does not leave the next ones unread.
    """

    START, A_FILE, BYTES, INFLATED = 200_000, 1000, 128, 256
    """Reads at first and for each file; bytes, and bytes of a deflated file, that count as one more."""

    def __init__(self) -> None:
        self.left = self.START

    def counted(self, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """The function ``read`` of a file, until the budget is spent."""

        def counted(size: int = -1) -> bytes:
            self.left -= 1 + size // self.BYTES
            if self.left < 0 or not 0 <= size <= MAX_HEADER_VALUE:
                raise OSError
            return read(size)

        return counted


class _Stream(BytesIO):
    """A stream whose function ``read`` can be replaced."""


def parse(
    data: bytes, keywords: Iterable[str], *, pixels: bool = False, budget: Budget | None = None
) -> tuple[Dataset, bool]:
    """Some elements of a file, with or without its preamble, and its pixels if wanted.

    Returns the data set and whether anything, such as pixels, follows the header. Raises
    UnsupportedImageError if there are more elements than the budget has.
    """
    budget = budget or Budget()
    budget.left = max(budget.left, 0) + Budget.A_FILE
    meta_end = 144 + int.from_bytes(data[140:144], "little")  # preamble, DICM, (0002,0000) and its value
    deflated = _DEFLATED in data[132:meta_end]
    if deflated:  # pydicom would expand it without a limit
        inflated = _inflated(data[meta_end:], budget)
        data = data[:meta_end].replace(_DEFLATED, _PLAIN) + inflated
    tags: list[BaseTag | int] = [Tag(keyword) for keyword in keywords]
    stream = _Stream(data)
    read = stream.read
    stream.read = budget.counted(read)  # type: ignore[method-assign, assignment]
    try:
        dataset = read_partial(stream, _header_ends({*tags, _CHARACTER_SET}), force=True, specific_tags=tags)
    finally:
        if budget.left < 0:
            raise _too_many() from None
    more = stream.tell() < len(data)
    if pixels and more:
        stream.read = read  # type: ignore[method-assign]
        implicit, little = map(bool, dataset.original_encoding)
        after = read_dataset(
            stream, implicit, little, stop_when=_pixels_end, specific_tags=[_PIXEL_DATA],
            at_top_level=False,  # else a length whose bytes are letters is taken for a type
        )  # fmt: skip
        dataset.update(after)
    if deflated:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dataset, more


def _header_ends(wanted: set[BaseTag | int]) -> Callable[[BaseTag, str | None, int], bool]:
    """Whether an element is of the pixels; a wanted one that is too long to be a text is damage."""

    def ends(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag in wanted and MAX_TEXT < length < _UNDEFINED and tag not in _TABLES:
            raise damaged()
        return tag in _PIXELS

    return ends


def _pixels_end(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag > _PIXEL_DATA)


def _inflated(data: bytes, budget: Budget) -> bytes:
    most = min(MAX_INFLATED_BYTES, budget.left * Budget.INFLATED)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, most)
    budget.left -= len(inflated) // Budget.INFLATED
    if inflater.unconsumed_tail:
        raise UnsupportedImageError(
            found=f"a deflated DICOM file of more than {most >> 20} MB",
            expected="an image of one frame",
            do="Do not trust this file; ask where it comes from.",
        )
    if not inflater.eof:
        raise EOFError
    return inflated


def _too_many() -> UnsupportedImageError:
    return UnsupportedImageError(
        found="a DICOM file with more elements than an image has",
        expected="a header of some hundred elements",
        do="Do not trust this file; ask where it comes from.",
    )


def to_bytes(dataset: Dataset) -> bytes:
    """A data set as a file, in its own encoding, or else little endian with explicit types.

    Raises TruncatedDicomError if it cannot be written.
    """
    stream, meta = BytesIO(), getattr(dataset, "file_meta", {})
    known = "TransferSyntaxUID" in meta or None not in dataset.original_encoding
    with reading():
        encoding = {} if known else {"implicit_vr": False, "little_endian": True}
        pydicom.dcmwrite(stream, dataset, enforce_file_format=False, **encoding)
    return stream.getvalue()


@contextmanager
def reading() -> Iterator[None]:
    """Turn whatever a damaged file makes pydicom raise into TruncatedDicomError, without its text.

    The causes are dropped and the log is silenced on purpose: pydicom's messages quote header values.
    """

    def silence(_: logging.LogRecord) -> bool:
        return False

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.config.logger.addFilter(silence)
        try:
            yield
        except _DAMAGE:
            raise damaged() from None
        finally:
            pydicom.config.logger.removeFilter(silence)


def damaged() -> TruncatedDicomError:
    """The error for a DICOM file that ends too early."""
    return TruncatedDicomError(
        found="a DICOM file that is cut or damaged",
        expected="a header followed by all of its pixels",
        do="Copy or download it again and compare its size with the original's.",
    )


def text(dataset: Dataset, keyword: str) -> str:
    """Value of a text field, without padding; empty if absent."""
    return str(dataset.get(keyword) or "").strip()


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Values of a numeric field; empty if absent. Decimal commas are read as points.

    Raises UnsupportedImageError for text that is no number.
    """
    value = dataset.get(keyword)
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    values = value if several else str(value or "").split("\\") if isinstance(value, str) else (value,)
    if all(v is None or not str(v).strip() for v in values):
        return ()
    try:
        return tuple(float(v.replace(",", ".") if isinstance(v, str) else v) for v in values)
    except (TypeError, ValueError):
        raise UnsupportedImageError(
            found=f"text in place of a number ({keyword})",
            expected="numbers, such as 2.42",
            do="Correct this element of the header, or export the scan again.",
        ) from None
