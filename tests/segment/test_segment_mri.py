import numpy as np
import pytest
from mri_cases import HALF_X, ORIGIN, SHAPE, VOXEL_MM, centre, column, spine, volume

from spinelift.bundle.kinds import MriWindow
from spinelift.errors import NoSpineError
from spinelift.io.dixon.volume import STITCH_GRID, DixonVolume
from spinelift.segment.mri import (
    BACK_PX,
    WINDOW,
    MriSpine,
    Window,
    assemble,
    triples,
    window_of,
)


def test_centre_line_and_ends_are_in_millimetres_of_the_volume():
    found = spine()
    x, y = centre(found.centre_line_mm[:, 2])
    assert np.abs(found.centre_line_mm[20:-20, 0] - x[20:-20]).max() < 0.6
    assert np.abs(found.centre_line_mm[20:-20, 1] - y[20:-20]).max() < 0.6
    assert found.top_mm == pytest.approx(-281.0)
    assert found.bottom_mm == pytest.approx(181.0)


def test_a_stray_piece_is_dropped_and_a_stump_is_refused():
    mask = column()
    mask[:4, :4, :4] = 1
    assert MriSpine.from_mask(mask, volume()).mask.sum() == column().sum()
    with pytest.raises(NoSpineError, match="mm high"):
        MriSpine.from_mask(column(0.0, 100.0), volume())
    with pytest.raises(NoSpineError, match="0 mm high"):
        MriSpine.from_mask(np.zeros(SHAPE, np.uint8), volume())


def test_the_window_is_where_its_pixels_come_from():
    shape = (40, 150, 160)
    water = np.zeros(shape, np.float32)
    water[:, 30:120, 50:140] = 1.0
    water[:, 70, 80] = 1.6
    window = window_of(DixonVolume("p", water, np.zeros(shape, np.float32), (0.0, 0.0, 0.0), (0, 40)))
    assert window.pixels.shape == (2, 40, WINDOW, WINDOW)
    assert window.pixels[0, 7, 70 - window.y0, 80 - window.x0] == 160
    assert np.unravel_index(window.pixels[0, 7].argmax(), (WINDOW, WINDOW)) == (
        70 - window.y0,
        80 - window.x0,
    )


def test_a_large_belly_does_not_push_the_back_out_of_the_window():
    shape, back = (40, 224, 224), 190
    water = np.zeros(shape, np.float32)
    water[:, 150:back, 80:140] = 100.0
    lean = window_of(DixonVolume("p", water, 0 * water, (0.0, 0.0, 0.0), (0, 40)))
    assert lean.y0 + WINDOW // 2 == pytest.approx((150 + back) / 2 + 8, abs=1)
    water[5:35, 20:150, 60:160] = 100.0
    stout = window_of(DixonVolume("p", water, 0 * water, (0.0, 0.0, 0.0), (0, 40)))
    assert stout.y0 + WINDOW == back - BACK_PX
    assert stout.pixels[0, 20, -1].max() > 0


def test_a_window_beyond_the_volume_is_padded():
    small = window_of(volume())
    assert small.pixels.shape == (2, SHAPE[0], WINDOW, WINDOW)
    assert small.pixels[0].max() > 0
    inside = np.zeros(SHAPE, bool)
    y, x = np.nonzero(small.pixels[0, 100])
    inside[100, y + small.y0, x + small.x0] = True
    assert inside[100].all()


def test_triples_are_the_neighbours_in_order_and_repeat_at_the_edge():
    pixels = np.arange(2 * 5, dtype=np.uint8).reshape(2, 5, 1, 1) * 10
    got = triples(pixels, np.array([0, 3]))[:, :, 0, 0]
    assert got == pytest.approx(np.array([[0, 0, 0.1, 0.5, 0.5, 0.6], [0.2, 0.3, 0.4, 0.7, 0.8, 0.9]]))


def _shares(window):
    """What a perfect network would give: the phantom's column, longer than T1 to L5."""
    whole = column(-300.0, 220.0)
    out = np.zeros((SHAPE[0], WINDOW, WINDOW), np.float32)
    z, y, x = np.nonzero(whole)
    keep = (y - window.y0 >= 0) & (y - window.y0 < WINDOW) & (x - window.x0 >= 0) & (x - window.x0 < WINDOW)
    out[z[keep], y[keep] - window.y0, x[keep] - window.x0] = 1.0
    return out


def _heat(*ends):
    z = np.arange(SHAPE[0])
    heat = np.stack([np.exp(-0.5 * ((z - e) / 2.0) ** 2) for e in ends])
    return (heat / heat.sum(1, keepdims=True)).astype(np.float32)


def test_the_column_is_cut_at_its_ends():
    window = Window(-16, -12, np.zeros((2, 0, 0, 0), np.uint8))
    found = assemble(_shares(window), _heat(20.0, 220.0), np.arange(SHAPE[0]), window, volume())
    assert found.top_mm == pytest.approx(ORIGIN[2] + VOXEL_MM * 20.0, abs=VOXEL_MM)
    assert found.bottom_mm == pytest.approx(ORIGIN[2] + VOXEL_MM * 220.0, abs=VOXEL_MM)
    assert found.warnings == ()
    row = found.mask[100].any(0)
    assert VOXEL_MM * row.sum() == pytest.approx(2 * HALF_X, abs=3.0)
    x, _ = centre(ORIGIN[2] + VOXEL_MM * 100)
    assert ORIGIN[0] + VOXEL_MM * np.flatnonzero(row).mean() == pytest.approx(x, abs=1.0)


def test_unlikely_ends_are_refused_or_warned_of():
    window = Window(-16, -12, np.zeros((2, 0, 0, 0), np.uint8))
    rows = np.arange(SHAPE[0])
    with pytest.raises(NoSpineError, match="apart"):
        assemble(_shares(window), _heat(100.0, 120.0), rows, window, volume())
    flat = _heat(20.0, 220.0)
    flat[0] = 0.2 * flat[0] + 0.8 / SHAPE[0]
    assert "upper end of T1" in assemble(_shares(window), flat, rows, window, volume()).warnings[0]


def test_the_window_of_the_card_is_the_one_that_is_cut():
    assert MriWindow().voxel_mm == STITCH_GRID.voxel_mm
