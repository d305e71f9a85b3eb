"""The saved mask against the spine that was drawn, on scans that are symmetric in nothing."""

import gzip
from io import BytesIO

import nibabel
import numpy as np
import pytest
from PIL import Image
from predict_cases import BOTTOM_XZ, SPACING, TOP_XZ, spine_image, spine_scan, write_bundle

from spinelift.align.masks import located_mask
from spinelift.geometry import Spacing
from spinelift.inference import load_model
from spinelift.report.mask import mask_nifti, mask_png


@pytest.fixture(scope="module")
def prediction(tmp_path_factory):
    return load_model(write_bundle(tmp_path_factory.mktemp("bundle")), threads=1).predict(spine_scan())


def test_the_mask_lies_on_the_scans_pixels(prediction):
    mask, drawn = prediction.mask(), spine_image() > 150
    assert mask.shape == drawn.shape
    assert set(np.unique(mask)) == {0, 255}
    inside = mask > 0
    overlap = (inside & drawn).sum() / (inside | drawn).sum()
    assert overlap > 0.9
    mirrored = (inside[:, ::-1] & drawn).sum() / (inside | drawn).sum()
    assert mirrored < 0.7
    rows = np.flatnonzero(inside.any(1)) * SPACING.row_mm
    np.testing.assert_allclose(rows[[0, -1]], [TOP_XZ[1], BOTTOM_XZ[1]], atol=5)


def test_the_picture_is_the_mask(prediction):
    mask = prediction.mask()
    picture = Image.open(BytesIO(mask_png(mask)))
    assert picture.mode == "L"
    np.testing.assert_array_equal(np.asarray(picture), mask)


def test_the_nifti_has_the_place_of_every_pixel():
    mask = np.zeros((7, 4), np.uint8)
    mask[5, 1] = 255
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(mask_nifti(mask, Spacing(2.5, 1.5))))
    assert image.shape == (4, 1, 7)
    assert image.header.get_zooms() == (1.5, 1.0, 2.5)
    assert nibabel.aff2axcodes(image.affine) == ("L", "A", "I")
    np.testing.assert_allclose(image.get_qform(), image.affine)
    (voxel,) = np.argwhere(np.asarray(image.dataobj))
    # one column to the patient's left, five rows to the feet, in RAS+ mm
    np.testing.assert_allclose(nibabel.affines.apply_affine(image.affine, voxel), [-1.5, 0, -12.5])


def test_it_is_the_mask_that_alignment_uses(prediction):
    column = located_mask(prediction.location)
    np.testing.assert_array_equal(column.values, prediction.location.column)
    z = column.grid.z_mm[column.inside.any(1)]
    assert abs(z[0] - TOP_XZ[1]) < 5
    assert abs(z[-1] - BOTTOM_XZ[1]) < 5


def test_the_bytes_are_the_same_each_time(prediction):
    assert mask_nifti(prediction.mask(), SPACING) == mask_nifti(prediction.mask(), SPACING)
