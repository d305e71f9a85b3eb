"""Whatever is done to a valid file: a scan or a SpineliftError, never another exception."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from io_cases import dataset, encoded, phantom, visit_zip
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from spinelift.errors import SpineliftError
from spinelift.geometry import Spacing
from spinelift.io import DxaScan, read_dxa

KINDS = ("zip", "dcm", "explicit", "deflated", "table", "rle", "png", "tiff")
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6)), max_size=4)


def explicit_vr(data: Dataset, syntax: UID) -> bytes:
    data.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    data.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("fuzz")
    explicit, rle = dataset(folder), dataset(folder)
    table = dataset(folder)
    table.BitsAllocated, table.BitsStored, table.HighBit = 16, 12, 11
    table.add_new("PixelPaddingValue", "US", 0)
    table.PixelData = (phantom().astype(np.uint16) * 16).tobytes()
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    item.add_new("LUTData", "OW", np.arange(0, 65536, 16).astype(np.uint16).tobytes())
    table.VOILUTSequence = [item]
    rle.compress(RLELossless)
    found = {
        "zip": visit_zip(folder).read_bytes(),
        "dcm": encoded(dataset(folder)),
        "explicit": explicit_vr(explicit, ExplicitVRLittleEndian),
        "deflated": explicit_vr(explicit, DeflatedExplicitVRLittleEndian),
        "table": encoded(table),
        "rle": encoded(rle),
    }
    for kind in ("png", "tiff"):
        picture = io.BytesIO()
        Image.fromarray(phantom()).save(picture, kind)
        found[kind] = picture.getvalue()
    return found


@pytest.mark.parametrize("kind", KINDS)
@given(edits=EDITS, head_only=st.booleans(), keep=st.one_of(st.just(1.0), st.floats(0, 1)))
@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_damage_never_surprises(tmp_path, originals, kind, edits, head_only, keep):
    data = bytearray(originals[kind])
    reach = min(len(data), 1500) if head_only else len(data)
    for place, patch in edits:
        start = int(place * reach)
        data[start : start + len(patch)] = patch
    path = tmp_path / f"scan.{kind}"
    path.write_bytes(data[: round(keep * len(data))])
    try:
        scan = read_dxa(path, spacing=Spacing(8.5, 8.0) if kind in ("png", "tiff") else None)
    except SpineliftError:
        return
    assert isinstance(scan, DxaScan)
    assert np.isfinite(scan.bone).all()
    assert scan.bone.min() >= 0
    assert scan.bone.max() <= 255


@given(data=st.binary(max_size=400), suffix=st.sampled_from(["zip", "dcm", "png", "tif", "x"]))
@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_noise_is_refused(tmp_path, data, suffix):
    path = tmp_path / f"noise.{suffix}"
    path.write_bytes(data)
    with pytest.raises(SpineliftError):
        read_dxa(path, spacing=Spacing(8.5, 8.0))
