"""A straightforward decode of a DXA by pydicom, to compare the reader with."""

import io
import warnings

import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import RLELossless

from spinelift.io import DxaScan

TOLERANCE = 0.02
"""Of the pixel size."""


def wrong_scan(scan: DxaScan, data: bytes) -> str:
    """What is wrong with a scan of one DICOM file, as far as can be known; "" if nothing is."""
    if fault := implausible(scan):
        return fault
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(io.BytesIO(data), force=True)
            sizes = _sizes_mm(header)
            shape = (int(header.Rows), int(header.Columns))
            turned = _letters(header)[0] in "FH"
        except Exception:  # noqa: BLE001 - what pydicom cannot read is not known
            return ""
        if scan.bone.shape != (shape[::-1] if turned else shape):
            return f"an image of {scan.bone.shape}, not {shape}, turned: {turned}"
        size = (scan.spacing.row_mm, scan.spacing.col_mm)[:: -1 if turned else 1]
        if not any(np.allclose(size, s, rtol=TOLERANCE) for s in sizes):
            return f"a pixel size {size} that is none of {sizes}"
        try:
            reference, skip = _grey(header)
        except Exception:  # noqa: BLE001
            return ""
    return _unlike(scan.bone, _turn(reference, header), _turn(skip, header))


def implausible(scan: DxaScan) -> str:
    """What no result may be, whatever was read."""
    values = (scan.bone, *(() if scan.tissue is None else (scan.tissue,)))
    if not all(v.dtype == np.float32 and np.isfinite(v).all() for v in values):
        return "pixels that are not finite float32"
    if not all(v.min() >= 0 and v.max() <= 255 for v in values):
        return "pixels beyond 0 to 255"
    if not all(0.2 <= mm <= 10 for mm in (scan.spacing.row_mm, scan.spacing.col_mm)):
        return f"a pixel size of {scan.spacing}"
    return ""


def _sizes_mm(header: pydicom.Dataset) -> list[tuple[float, float]]:
    def of(keyword: str) -> tuple[float, ...]:
        value = header.get(keyword)
        values = [] if value is None or value == "" else value if hasattr(value, "__len__") else [value]
        return tuple(float(str(v).replace(",", ".")) for v in values)

    plain, detector = of("PixelSpacing"), of("ImagerPixelSpacing")
    factor = header.get("EstimatedRadiographicMagnificationFactor") or 1
    area = of("ExposedArea")
    found = [plain, detector, tuple(v / float(factor) for v in detector)]
    if len(area) == 2:
        found.append((area[1] / header.Rows, area[0] / header.Columns))
    return [(pair[0], pair[1]) for pair in found if len(pair) == 2]


def _letters(header: pydicom.Dataset) -> tuple[str, str]:
    value = header.get("PatientOrientation") or ["L", "F"]
    first, second = (str(v).strip().upper()[:1] for v in value)
    return (first, second) if first and second else ("L", "F")


def _turn(image: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """To rows → feet, columns → the patient's left."""
    first, second = _letters(header)
    if first in "FH":
        image, first, second = image.T, second, first
    return image[:: -1 if second == "H" else 1, :: -1 if first == "R" else 1]


def _grey(header: pydicom.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Grey values in any linear scale, bone bright, and where they are not compared."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed and syntax != RLELossless:
        raise ValueError("native decoders may abort")
    bits, high = int(header.BitsStored), int(header.get("HighBit", header.BitsStored - 1))
    tables = [*(header.get("ModalityLUTSequence") or ()), *(header.get("VOILUTSequence") or ())]
    if high != bits - 1 or any(int(t.LUTDescriptor[2]) != 16 for t in tables):
        raise ValueError("pydicom ignores HighBit, and wraps tables of 8 bits")
    header.file_meta.TransferSyntaxUID = syntax or pydicom.uid.ImplicitVRLittleEndian
    stored = header.pixel_array
    values = apply_voi_lut(apply_modality_lut(stored, header), header).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("not finite")
    dark_is_low = header.PhotometricInterpretation == "MONOCHROME2"
    inverse = str(header.get("PresentationLUTShape", "")).upper() == "INVERSE"
    skip = np.zeros(stored.shape, bool)
    if header.get("PixelPaddingValue") is not None:
        limit = header.get("PixelPaddingRangeLimit", header.PixelPaddingValue)
        low, high = sorted((int(header.PixelPaddingValue), int(limit)))
        skip = (stored >= low) & (stored <= high)
        if high > stored.max() or low < stored.min():
            raise ValueError("written in another type than the pixels")
    return values * (1 if dark_is_low and not inverse else -1), skip


def _unlike(found: np.ndarray, reference: np.ndarray, skip: np.ndarray) -> str:
    """Say whether pixels are no linear, clipped image of the reference."""
    if found.shape != reference.shape:
        return f"an image of {found.shape}, not {reference.shape}"
    found, reference = found[~skip].astype(np.float64), reference[~skip]
    inner = (found > 1) & (found < 254)
    if np.unique(reference[inner]).size >= 3:
        scale = np.polynomial.Polynomial.fit(reference[inner], found[inner], 1)
        far = float(np.abs(np.clip(scale(reference), 0, 255) - found).max())
        if far > 1.0 or scale(reference.max()) < scale(reference.min()):
            return f"pixels that differ from pydicom's by {far:.4g} of 255"
    order = np.argsort(reference, kind="stable")
    ends = found[order]
    if (
        ends.size
        and np.diff(np.array([b.mean() for b in np.array_split(ends, 8) if b.size])).min(initial=0) < -1
    ):
        return "pixels in another order than pydicom's"
    return ""
