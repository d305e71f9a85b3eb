"""The phantom as a DICOM file in every transfer syntax."""

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from tests.fuzz.originals import bone, copy_of, dxa_dataset

PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
NATIVE = {JPEGLosslessSV1: "JPEGLosslessProcess14_1", JPEGLSLossless: "JPEGLSLossless",
          JPEG2000Lossless: "JPEG2000Lossless"}  # fmt: skip
SYNTAXES = (*PLAIN, RLELossless, *NATIVE)


@cache
def encoded(syntax: str, deep: bool = False) -> bytes:
    """The phantom's bone image in a transfer syntax, 8 bits, or 16 with a window of 0 to 255 × 16."""
    data = copy_of(dxa_dataset())
    data["PixelData"].VR = "OB"
    if deep:
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelData = (bone().astype("<u2") * 16).tobytes()
        data["PixelData"].VR = "OW"
        data.WindowCenter, data.WindowWidth, data.VOILUTFunction = 2040, 4080, "LINEAR_EXACT"
    if syntax == RLELossless:
        data.compress(RLELossless, generate_instance_uid=False)
    elif syntax in NATIVE:
        data.PixelData = _by_gdcm(data, NATIVE[syntax])
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    elif syntax == ExplicitVRBigEndian and deep:
        data.PixelData = (bone().astype("<u2") * 16).astype(">u2").tobytes()
    data.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    pydicom.dcmwrite(stream, data, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return stream.getvalue()


def _by_gdcm(data: pydicom.Dataset, name: str) -> bytes:
    """Pixels by GDCM's encoders, encapsulated."""
    import gdcm  # after zlib, whose symbols it would replace

    with TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "plain.dcm", Path(folder) / "packed.dcm"
        data.save_as(plain, enforce_file_format=True)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(packed))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return pydicom.dcmread(packed).PixelData
