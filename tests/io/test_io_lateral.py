"""The lateral view of a visit: its orientation, its size, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_cases import HEIGHT_MM, WIDTH_MM, dataset, encoded, phantom, saved, visit_zip, zip_of

from spinelift.errors import NoLateralViewError, SpineliftError, UnsupportedImageError
from spinelift.geometry import Spacing
from spinelift.io import read_dxa
from spinelift.io.dicom_image import View, to_standard
from spinelift.io.dxa.lateral import SEVERAL, read_lateral
from spinelift.simulate.archive.dxa import DxaImage

STANDARD = Spacing(440 / 220, 200 / 80)


def side_view() -> np.ndarray:
    """uint8 [220, 80], different in all four corners: front at the left, head at the top."""
    image = np.zeros((220, 80), np.uint8)
    image[:, 10:60] = 60
    image[20:200, 40:48] = 180
    image[5:15, 12:20] = 220
    image[190:210, 50:58] = 120
    return image


def lateral(pixels: np.ndarray, *, number: int = 3, columns: str = "P", size=(200, 440)) -> DxaImage:
    return DxaImage("LVA", number, pixels, *size, columns)


def bodies() -> list[DxaImage]:
    kinds = ((1, True), (2, False))
    return [DxaImage("Total Body", n, phantom(tissue=t), WIDTH_MM, HEIGHT_MM) for n, t in kinds]


STORED = {
    ("P", "F"): side_view(),
    ("A", "F"): side_view()[:, ::-1],
    ("P", "H"): side_view()[::-1],
    ("A", "H"): side_view()[::-1, ::-1],
    ("F", "P"): side_view().T,
    ("H", "A"): side_view()[::-1, ::-1].T,
}


@pytest.mark.parametrize("letters", STORED, ids="".join)
def test_every_orientation_gives_the_same_view(tmp_path, letters):
    stored = np.ascontiguousarray(STORED[letters])
    transposed = letters[0] in "FH"
    data = dataset(tmp_path, image=lateral(stored, size=(440, 200) if transposed else (200, 440)))
    data.PatientOrientation = list(letters)
    view = read_lateral(saved(data, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(view.image, side_view())
    assert view.spacing == STANDARD


def test_the_orientation_given_overrules_the_header(tmp_path):
    """A header that calls every image L\\F does not say where the front is."""
    data = dataset(tmp_path, image=lateral(side_view()[:, ::-1], columns="L"))
    path = saved(data, tmp_path / "a.dcm")
    for header in (["L", "F"], ["", ""], None):
        data.PatientOrientation = header
        saved(data, path)
        with pytest.raises(UnsupportedImageError, match="--orientation P,F or A,F"):
            read_lateral(path)
        np.testing.assert_array_equal(read_lateral(path, orientation=("A", "F")).image, side_view())


@given(st.lists(st.sampled_from(["A", "P", "F", "H", "L", "R", "", "AL", "x"]), max_size=3))
def test_a_view_is_turned_or_refused(letters):
    """Whatever the letters: either the marks of the phantom are found again, or the view is refused."""
    for view, right in ((View.LATERAL, "PA"), (View.FRONTAL, "LR")):
        chief = [letter[:1].upper() for letter in letters]
        good = len(chief) == 2 and sorted(
            ("side" if c in right else "long" if c in "FH" else "none") if c else "none" for c in chief
        ) == ["long", "side"]
        image = side_view().astype(np.float32)
        if not good:
            with pytest.raises(UnsupportedImageError):
                to_standard(image, STANDARD, letters, view)
            continue
        stored = image if right[0] in chief else image[:, ::-1]
        stored = stored if "F" in chief else stored[::-1]
        pixel = STANDARD
        if chief[0] in "FH":
            stored, pixel = stored.T, Spacing(STANDARD.col_mm, STANDARD.row_mm)
        turned, spacing = to_standard(stored, pixel, letters, view)
        np.testing.assert_array_equal(turned, image)
        assert spacing == STANDARD


def test_the_view_lies_beside_the_total_body(tmp_path):
    path = visit_zip(tmp_path, [*bodies(), lateral(side_view())])
    view = read_lateral(path, identity=read_dxa(path).identity)
    np.testing.assert_array_equal(view.image, side_view())
    assert view.warnings == ()
    np.testing.assert_array_equal(read_dxa(path).bone, phantom())
    (tmp_path / "visit").mkdir()
    for number, image in enumerate((*bodies(), lateral(side_view()))):
        (tmp_path / "visit" / f"{number}.dcm").write_bytes(encoded(dataset(tmp_path, image=image)))
    np.testing.assert_array_equal(read_lateral(tmp_path / "visit").image, side_view())


def test_of_several_the_last_counts(tmp_path):
    first = lateral(np.roll(side_view(), 5, 0), number=3)
    view = read_lateral(visit_zip(tmp_path, [*bodies(), lateral(side_view(), number=4), first]))
    np.testing.assert_array_equal(view.image, side_view())
    assert view.warnings == (SEVERAL,)


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (None, "no lateral view"),
        (lateral(side_view(), size=(100, 220)), "220 × 100 mm"),
        (lateral(side_view(), size=(160, 720)), "720 × 160 mm"),
        (lateral(np.full((220, 80), 90, np.uint8)), "without contrast"),
    ],
)
def test_a_view_that_cannot_be_used_is_named(tmp_path, image, what):
    with pytest.raises(NoLateralViewError, match=what):
        read_lateral(visit_zip(tmp_path, [*bodies(), *([image] if image else [])]))


def test_the_view_of_another_person_is_not_taken(tmp_path):
    own = dataset(tmp_path, image=bodies()[1])
    other = dataset(tmp_path, image=lateral(side_view()))
    other.PatientID = "7654321"
    path = zip_of(tmp_path / "a.zip", {"a.dcm": encoded(own), "b.dcm": encoded(other)})
    with pytest.raises(NoLateralViewError, match="another person") as caught:
        read_lateral(path, identity=read_dxa(path).identity)
    assert "7654321" not in str(caught.value)


@pytest.mark.parametrize("name", ["1234567_20201_2_0.zip", "missing.zip"])
def test_other_files_are_refused(tmp_path, name):
    if name != "missing.zip":
        visit_zip(tmp_path).rename(tmp_path / name)
    with pytest.raises(SpineliftError):
        read_lateral(tmp_path / name)
