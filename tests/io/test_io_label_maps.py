"""Label maps with oddities: each is read right, with a warning, or refused; never wrong without a word."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spinelift import errors
from spinelift.geometry import Vertebra
from spinelift.io.dixon.volume import STITCH_GRID, DixonVolume
from spinelift.io.nifti.labels import LabelScheme, choose_labels, read_spine_labels
from spinelift.io.nifti.volume import read_nifti_on

SHAPE = (330, 60, 40)
BLANK = np.broadcast_to(np.float32(0), SHAPE)
VOLUME = DixonVolume("x", BLANK, BLANK, (-40.0, -60.0, -300.0), (0, SHAPE[0]))
CASES = Path(__file__).parents[2].parent / "shared" / "cases"
VERT, VIBE = LabelScheme.SPINEPS_VERT, LabelScheme.VIBESEGMENTATOR
NORMAL = (-1, *Vertebra)
few = settings(max_examples=12, deadline=None)
level = st.sampled_from(list(Vertebra))
inner = st.sampled_from(list(Vertebra)[1:-1])


def spine(label=lambda k: 8 + k, names=NORMAL, rows=None, sacrum=26, touching=(), arches=True):
    """Labels [z, y, x] of bodies 9 to 12 rows high, 2 rows apart, and the rows of each."""
    labels, at, z = np.zeros(SHAPE, np.int16), {}, 4
    for k, name in enumerate(names):
        height = (rows or {}).get(name, 9 + k // 6)
        gap = 0 if name in touching else 2
        labels[z : z + height + (0 if gap else 2), 10:26, 10:30] = label(name)
        if arches:
            labels[z + height // 4 : z + max(height - 3, 2), 26:44, 18:21] = label(name)
        at[name] = (z, z + height)
        z += height + 2
    labels[z + 1 : z + 20, 10:30, 8:32] = sacrum
    return labels, at


def read(folder, labels, scheme=VERT, *, dtype=None, slope=None, volume=VOLUME, **options):
    """Write labels as NIfTI, as bytes with a slope if there is one, and read the spine from it."""
    image = nib.Nifti1Image(labels.transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ VOLUME.affine, dtype=dtype)
    if slope:
        stored = np.rint(labels / slope).astype(np.uint8)
        image = nib.Nifti1Image(stored.transpose(2, 1, 0), image.affine)
        image.header.set_slope_inter(slope, 0)
    path = Path(folder) / "map.nii"
    nib.save(image, path)
    return read_spine_labels(path, volume, scheme, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("maps")


def assert_column(found, at, last=Vertebra.L5):
    """The mask goes from the first row of T1 to the last of L5, and each centre is in its body's rows."""
    rows = np.flatnonzero(found.mask.any(axis=(1, 2)))
    assert abs(rows[0] - at[Vertebra.T1][0]) <= 1
    assert rows[-1] + 1 == at[last][1]
    assert len(rows) == rows[-1] + 1 - rows[0]
    for name, (_, _, z) in found.centres_mm.items():
        assert at[name][0] - 1 <= (z + 300) / 2 <= at[name][1]


def vibe(name):
    return 69


@few
@given(name=level, height=st.integers(1, 5))
def test_a_crushed_body_stays(folder, name, height):
    labels, at = spine(rows={name: height})
    assert_column(read(folder, labels), at)


@few
@given(name=inner, height=st.integers(4, 6), arches=st.booleans())
def test_a_crushed_body_is_counted(folder, name, height, arches):
    scheme, body, sacrum = (LabelScheme.TOTALSEGMENTATOR_TOTAL_MR, 19, 18) if arches else (VIBE, 69, 23)
    labels, at = spine(lambda _: body, rows={name: height}, sacrum=sacrum, arches=arches)
    assert_column(read(folder, labels, scheme), at)


@few
@given(name=inner, height=st.integers(1, 3), arches=st.booleans())
def test_a_flat_body_is_counted_or_refused(folder, name, height, arches):
    scheme, body, sacrum = (LabelScheme.TOTALSEGMENTATOR_TOTAL_MR, 19, 18) if arches else (VIBE, 69, 23)
    labels, at = spine(lambda _: body, rows={name: height}, sacrum=sacrum, arches=arches)
    try:
        found = read(folder, labels, scheme)
    except errors.SpineliftError:
        return
    assert_column(found, at)


@few
@given(name=level, left=st.integers(0, 40))
def test_a_sliver_is_no_level(folder, name, left):
    labels, _ = spine()
    inside = np.flatnonzero(labels == 8 + name)
    labels.flat[inside[left:]] = 0
    with pytest.raises(errors.NoSpineError, match=name.name):
        read(folder, labels)


@pytest.mark.parametrize(
    ("names", "extra", "last"),
    [
        ((*NORMAL[:13], "T13", *NORMAL[13:]), "T13", Vertebra.L5),
        ((*NORMAL, "L6"), "L6", "L6"),
    ],
)
def test_an_extra_vertebra_is_part_of_the_column(folder, names, extra, last):
    number = {"T13": 28, "L6": 25}
    labels, at = spine(lambda k: number.get(k, 8 + k if k in NORMAL else 0), names)
    found = read(folder, labels)
    assert_column(found, at, last=last)
    assert list(found.centres_mm) == list(Vertebra)
    assert any(extra in remark for remark in found.remarks)
    labels[labels == number[extra]] = 0
    if extra == "T13":
        with pytest.raises(errors.NoSpineError, match=r"T12 to L1|breaks"):
            read(folder, labels)


@few
@given(first=st.sets(st.sampled_from(NORMAL[:-2]), max_size=4))
def test_bodies_that_touch_shift_no_level(folder, first):
    assume(not any(a + 1 in first for a in first))
    labels, at = spine(vibe, sacrum=23, touching=first, arches=False)
    found = read(folder, labels, VIBE)
    assert_column(found, at)
    assert any("touch" in remark for remark in found.remarks) == bool(first)


@few
@given(first=st.sampled_from(NORMAL[:-1]), count=st.integers(1, 17))
def test_many_bodies_that_touch_are_right_or_refused(folder, first, count):
    labels, at = spine(vibe, sacrum=23, touching=range(first, min(first + count, 16)), arches=False)
    try:
        found = read(folder, labels, VIBE)
    except errors.SpineliftError:
        return
    assert_column(found, at)


@few
@given(name=level, kind=st.sampled_from(["lost", "in halves", "side by side"]))
def test_counting_refuses_lost_and_broken_bodies(folder, name, kind):
    labels, at = spine(vibe, sacrum=23, arches=False, names=(-3, -2, *NORMAL))
    low, high = at[name]
    if kind == "lost":
        labels[low:high] = 0
    elif kind == "in halves":
        labels[(low + high) // 2] = 0
    else:
        labels[low:high, :, 20] = 0
    with pytest.raises((errors.NoSpineError, errors.AmbiguousScanError)):
        read(folder, labels, VIBE)


@few
@given(a=level, b=level)
def test_levels_out_of_order_are_refused(folder, a, b):
    assume(a != b)
    labels, _ = spine(lambda k: 8 + {a: b, b: a}.get(k, k))
    with pytest.raises(errors.NoSpineError):
        read(folder, labels)


@few
@given(
    seed=st.integers(0, 99),
    kind=st.sampled_from(["counts", "real", "half", "negative"]),
    scheme=st.sampled_from(list(LabelScheme)),
)
def test_an_image_is_no_label_map(folder, seed, kind, scheme):
    rng = np.random.default_rng(seed)
    image = {
        "counts": lambda: rng.integers(0, 900, SHAPE).astype(np.int16),
        "real": lambda: rng.uniform(0, 2, SHAPE).astype(np.float32),
        "half": lambda: rng.integers(0, 3, SHAPE).astype(np.float32) / 2,
        "negative": lambda: rng.integers(-1, 2, SHAPE).astype(np.int16),
    }[kind]()
    with pytest.raises(errors.UnsupportedImageError, match="no label map"):
        read(folder, image, scheme)


@few
@given(seed=st.integers(0, 99), scheme=st.sampled_from(list(LabelScheme)))
def test_noise_of_valid_labels_is_no_spine(folder, seed, scheme):
    noise = np.random.default_rng(seed).integers(0, 2 if scheme is LabelScheme.SPINELIFT else 3, SHAPE)
    with pytest.raises((errors.NoSpineError, errors.AmbiguousScanError)):
        read(folder, noise.astype(np.int16), scheme)


@few
@given(slope=st.floats(0.12, 0.99))
def test_scaled_labels_are_rounded(folder, slope):
    labels, at = spine()
    assert_column(read(folder, labels, slope=slope), at)
    assert_column(read(folder, (labels * 0.9999).astype(np.float32)), at)


@few
@given(where=st.integers(30, 180))
def test_a_column_in_pieces_is_refused(folder, where):
    labels = (spine(touching=NORMAL, arches=False, sacrum=0)[0] > 0).astype(np.uint8)
    assert read(folder, labels, LabelScheme.SPINELIFT).mask.sum() == labels.sum()
    labels[where : where + 3] = 0
    with pytest.raises(errors.NoSpineError, match="pieces"):
        read(folder, labels, LabelScheme.SPINELIFT)
    labels[where:] = 0
    if where < 120:
        with pytest.raises(errors.NoSpineError, match="mm"):
            read(folder, labels, LabelScheme.SPINELIFT)


@pytest.mark.parametrize(("end", "cut"), [(0, True), (0, False), (1, True), (1, False)])
def test_a_column_at_an_end_of_the_mri_is_remarked(folder, end, cut):
    labels, at = spine()
    inside = at[Vertebra.T1][0], at[Vertebra.L5][1]
    rows = [inside[0] - 3, inside[1] + 3]
    rows[end] = inside[end] + (2 * end - 1) * (-2 if cut else 1)
    labels[: rows[0]] = labels[rows[1] :] = 0
    found = read(folder, labels, volume=replace(VOLUME, rows=tuple(rows)))
    assert any("end of the MRI" in remark for remark in found.remarks) == cut


def test_levels_and_bodies_of_two_maps_that_touch_a_neighbour(folder):
    labels, at = spine()
    bodies, _ = spine(vibe, touching=(-1, 3), arches=False)
    nib.save(
        nib.Nifti1Image(bodies.transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ VOLUME.affine),
        folder / "bodies.nii",
    )
    assert_column(read(folder, labels, bodies=(folder / "bodies.nii", VIBE)), at)


@pytest.mark.parametrize(
    ("names", "scheme", "chosen"),
    [
        (["1_2.nii.gz"], VIBE, 0),
        (["1_2_seg-spine_msk.nii.gz", "1_2_seg-vert_msk.nii.gz"], VERT, 1),
        (["1_2_total.nii.gz", "1_2_total_mr.nii.gz"], LabelScheme.TOTALSEGMENTATOR_TOTAL, 0),
        (["1_2_total.nii.gz", "1_2_total_mr.nii.gz"], LabelScheme.TOTALSEGMENTATOR_TOTAL_MR, 1),
        (["1_2_a.nii.gz", "1_2_b.nii.gz"], VIBE, None),
        (["1_2_seg-vert.nii", "1_2_seg-vert.nii.gz"], VERT, None),
    ],
)
def test_the_file_that_the_scheme_names(names, scheme, chosen):
    paths = [Path(name) for name in names]
    if chosen is None:
        with pytest.raises(errors.AmbiguousScanError, match="2 label maps"):
            choose_labels(paths, scheme)
    else:
        assert choose_labels(paths, scheme) == paths[chosen]


@pytest.mark.parametrize(
    ("name", "start", "tool"),
    [
        ("a.mnc", b"CDF\x01", "mnc2nii"),
        ("a.nii", b"\x89HDF\r\n", "mnc2nii"),
        ("a.PAR", b"# === DATA", "parrec2nii"),
        ("a.rec", b"\0\0", "parrec2nii"),
        ("a.nrrd", b"NRRD0004", "Slicer"),
    ],
)
def test_other_formats_name_their_converter(tmp_path, name, start, tool):
    (tmp_path / name).write_bytes(start + bytes(400))
    with pytest.raises(errors.UnsupportedImageError, match=tool):
        read_nifti_on(tmp_path / name, VOLUME)


def shared_cases():
    file = CASES / "expect.json"
    cases = json.loads(file.read_text())["cases"] if file.is_file() else []
    return [c for c in cases if c["input"].startswith("n") and (CASES / c["input"]).is_file()]


@pytest.mark.skipif(not shared_cases(), reason="no folder of cases beside the repository")
def test_shared_cases():
    blank = np.broadcast_to(np.float32(0), STITCH_GRID.shape)
    volume = DixonVolume("x", blank, blank, (-223.0, -223.0, -60.0), (0, 700))
    for case in shared_cases():
        name, right = case["input"], case.get("right")
        words = {"_total_": LabelScheme.TOTALSEGMENTATOR_TOTAL, "_vibe_": VIBE}
        scheme = next((s for word, s in words.items() if word in name), VERT)
        if right is None:
            with pytest.raises(errors.SpineliftError, match=r"T8|MINC|no label map"):
                read_spine_labels(CASES / name, volume, scheme)
            continue
        found = read_spine_labels(CASES / name, volume, scheme)
        rows = np.flatnonzero(found.mask.any(axis=(1, 2)))
        assert abs(2 * len(rows) - right["column_height_mm"]) <= case["tolerance_mm"], name
        if "top_z_mm" in right:
            assert right["top_z_mm"][0] - 4 <= 2 * rows[0] - 60 - 1 <= right["top_z_mm"][1] + 4, name
        if "t1_centre_z_mm" in right:
            assert abs(found.centres_mm[Vertebra.T1][2] - right["t1_centre_z_mm"]) <= case["tolerance_mm"]
