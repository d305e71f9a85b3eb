import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from report_cases import scene

from spinelift.curves import Curve, resample_rows
from spinelift.report import picture_names
from spinelift.report.pictures import make_pictures
from spinelift.report.scene import PLAIN_COLOUR, uncertainty_colour
from spinelift.report.turntable import SIZE, _stage, render, turntable_gif


def test_region_lies_where_its_edges_say():
    picture = scene()
    rows, cols = picture.image.shape
    x = np.arange(cols) * picture.curves.frame.spacing.col_mm
    z = np.arange(rows)[:, None] * picture.curves.frame.spacing.row_mm
    ramp = scene(image=(0.1 * x + 0.03 * z).astype(np.float32))
    part, (right, left, head, feet) = ramp.region()
    xs = np.linspace(right, left, 2 * part.shape[1] + 1)[1::2]
    zs = np.linspace(head, feet, 2 * part.shape[0] + 1)[1::2]
    np.testing.assert_allclose(part, 0.1 * xs + 0.03 * zs[:, None], atol=1e-2)


def test_colours_go_from_sure_to_unsure():
    sure, unsure, far = uncertainty_colour(np.array([0.0, 12.0, 40.0]))
    assert sure[2] > sure[0]
    assert unsure[0] > unsure[2]
    np.testing.assert_array_equal(unsure, far)
    np.testing.assert_array_equal(scene(half_width_mm=None).colours[3], PLAIN_COLOUR)


def spine_columns(picture, angle, row):
    """Columns of one picture row in which the spine is drawn, without any scan behind it."""
    stage = _stage(scene(image=np.zeros_like(picture.image)))
    pixels = render(stage, angle)[row].astype(int)
    return np.flatnonzero(np.abs(pixels - pixels[0]).sum(-1) > 25)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, np.pi / 2, np.pi, 4.0])
def test_the_turning_spine_is_where_geometry_says(angle):
    picture = scene()
    stage = _stage(picture)
    mm = resample_rows(picture.curves.z_mm, picture.curves.mm, np.array([stage.z0 + 100 * stage.mm_per_px]))[
        :, 0
    ]
    _, (right, left, _, _) = picture.region(side_mm=100.0, margin_mm=12.0)
    x = (mm[Curve.LEFT] + mm[Curve.RIGHT]) / 2 - (right + left) / 2
    centres_y = (picture.curves.mm[Curve.ANTERIOR] + picture.curves.mm[Curve.POSTERIOR]) / 2
    y = (mm[Curve.ANTERIOR] + mm[Curve.POSTERIOR]) / 2 - centres_y.mean()
    a, b = (mm[Curve.LEFT] - mm[Curve.RIGHT]) / 2, (mm[Curve.POSTERIOR] - mm[Curve.ANTERIOR]) / 2
    centre = (x * np.cos(angle) - y * np.sin(angle)) / stage.mm_per_px + (SIZE[0] - 1) / 2
    half = np.hypot(a * np.cos(angle), b * np.sin(angle)) / stage.mm_per_px
    columns = spine_columns(picture, angle, 100)
    assert columns[0] == pytest.approx(centre - half, abs=2)
    assert columns[-1] == pytest.approx(centre + half, abs=2)


def test_from_the_front_the_patients_left_is_on_the_right_and_behind_it_is_mirrored():
    stage = _stage(scene())
    front, back = render(stage, 0.0)[300].astype(int), render(stage, np.pi)[300].astype(int)
    middle = SIZE[0] // 2
    assert front[middle + 70].sum() > front[middle - 70].sum() + 60
    assert back[middle - 70].sum() > back[middle + 70].sum() + 30


def test_the_gif_starts_from_the_front_with_the_patients_left_on_the_right():
    gif = Image.open(io.BytesIO(turntable_gif(scene(), frames=4)))
    pixels = np.asarray(gif.convert("RGB"), int)
    stage = _stage(scene())
    rows = [stage.rows.start + 12, stage.rows.stop - 12]
    middle = SIZE[0] / 2
    # T1 lies to the patient's left of L5, and the left half of the scan is the bright one.
    spine = [np.flatnonzero(pixels[row, :, 0] > pixels[row, :, 2] - 5).mean() for row in rows]
    assert spine[0] > spine[1] + 15
    assert pixels[300, int(middle) + 70].sum() > pixels[300, int(middle) - 70].sum() + 60


def test_gif_turns_and_loops():
    gif = Image.open(io.BytesIO(turntable_gif(scene(), frames=12)))
    assert gif.n_frames == 12
    assert gif.size == SIZE
    assert gif.info["loop"] == 0
    frames = []
    for k in range(12):
        gif.seek(k)
        frames.append(np.asarray(gif.convert("L"), int))
    assert all(np.abs(a - b).mean() > 0.5 for a, b in pairwise(frames))


def test_all_pictures_have_their_names_and_bytes_repeat():
    first, second = make_pictures(scene()), make_pictures(scene())
    assert tuple(first) == picture_names()
    assert first == second
