"""Zip → stitched volume: geometry, seams, every trap, broken archives, privacy."""

import hashlib
import io
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from dixon_cases import (
    TOP_MM,
    changed,
    of_station,
    phantom_stations,
    signal,
    with_volume,
)

from spinelift import errors
from spinelift.io.dixon.match import Match
from spinelift.io.dixon.read import read_dixon
from spinelift.io.dixon.stitch import _findings
from spinelift.io.dixon.volume import Action, StitchGrid, Trap
from spinelift.simulate.archive.dixon import ArchiveTrap, write_dixon_zip

GRID = StitchGrid(voxel_mm=4.0, shape=(350, 112, 112), coarse=2)
"""Voxels eight times as large as the real ones: what is tested does not depend on it."""


@pytest.fixture(scope="module")
def clean():
    return phantom_stations()


def read(folder, stations, *, traps=(), eid=1234567):
    path = write_dixon_zip(folder, stations, eid=eid, instance=2, rng=np.random.default_rng(eid), traps=traps)
    return read_dixon(path, grid=GRID)


@pytest.fixture(scope="module")
def volume(clean, tmp_path_factory):
    return read(tmp_path_factory.mktemp("clean"), clean)


def truth(volume, rows):
    x0, y0, z0 = volume.origin_mm
    x = (x0 + GRID.voxel_mm * np.arange(112))[None, None]
    y = (y0 + GRID.voxel_mm * np.arange(112))[None, :, None]
    z = (z0 + TOP_MM + GRID.voxel_mm * np.asarray(rows))[:, None, None]
    return signal(x, y, z)


def error_of(volume, rows=None):
    """Median error of water and fat in the body, over some rows."""
    rows = np.arange(volume.rows[0] + 10, volume.rows[1] - 10, 9) if rows is None else np.asarray(rows)
    water, fat = truth(volume, rows)
    body = water + fat > 300
    found = volume.water[rows], volume.fat[rows]
    return max(
        float(np.median(np.abs(a - b)[body] / (water + fat)[body]))
        for a, b in zip((water, fat), found, strict=True)
    )


def found(volume, trap):
    return [f for f in volume.findings if f.trap is trap]


def test_clean_body_lies_where_it_should(volume):
    assert volume.water.shape == volume.fat.shape == (350, 112, 112)
    assert volume.water.dtype == np.float32
    assert volume.mri_id == "1234567_2"
    assert volume.voxel_mm == GRID.voxel_mm
    assert volume.origin_mm[2] == -TOP_MM
    assert error_of(volume) < 0.02
    assert not volume.water[volume.rows[1] :].any()
    assert [f for f in volume.findings if f.action is Action.CORRECTED] == []


def test_ball_is_left_and_front_and_low(volume):
    rows = np.arange(350)
    near = (rows * GRID.voxel_mm > 500) & (rows * GRID.voxel_mm < 620)
    z, y, x = np.argwhere((volume.water > 600) & near[:, None, None]).mean(axis=0)
    assert volume.origin_mm[0] + GRID.voxel_mm * x == pytest.approx(70, abs=4)
    assert volume.origin_mm[1] + GRID.voxel_mm * y == pytest.approx(-40, abs=4)
    assert GRID.voxel_mm * z == pytest.approx(560, abs=4)
    place = volume.affine @ (x, y, z, 1)
    assert place[2] == pytest.approx(TOP_MM - 560, abs=4)


def test_duplicate_station_takes_the_later(clean, tmp_path):
    spoilt = [
        replace(with_volume(clean[k], clean[k].volume[::-1]), series_number=1, acquisition_time=35000.0)
        for k in of_station(clean, 2)
    ]
    volume = read(tmp_path, [*clean, *spoilt])
    assert [f.station for f in found(volume, Trap.DUPLICATE_STATION)] == [2]
    assert error_of(volume) < 0.02


@pytest.mark.parametrize("number", [2, 3])
def test_missing_inner_station_is_refused(clean, tmp_path, number):
    rest = [s for k, s in enumerate(clean) if k not in of_station(clean, number)]
    with pytest.raises(errors.IncompleteScanError, match="hole of"):
        read(tmp_path, rest)


def test_missing_neck_is_refused_and_missing_thighs_are_reported(clean, tmp_path):
    with pytest.raises(errors.IncompleteScanError, match="neck"):
        read(tmp_path, clean[4:])
    volume = read(tmp_path, clean[:20])
    assert [f.action for f in found(volume, Trap.MISSING_STATION)] == [Action.REPORTED]
    assert error_of(volume) < 0.02


@pytest.mark.parametrize("which", [(1,), (3, 4), (1, 2, 3, 4, 5, 6)])
def test_swapped_stations_are_undone(clean, tmp_path, which):
    stations = clean
    for number in which:
        stations = changed(
            stations, number, lambda s: replace(s, contrast="W" if s.contrast == "F" else "F"), contrasts="FW"
        )
    volume = read(tmp_path, stations)
    assert tuple(f.station for f in found(volume, Trap.SWAP)) == which
    assert error_of(volume) < 0.02


def test_station_swapped_in_part_is_undone(clean, tmp_path):
    fat, water = clean[4 * 2 + 2], clean[4 * 2 + 3]
    mixed = list(clean)
    mixed[10] = replace(fat, volume=np.concatenate([water.volume[:9], fat.volume[9:]]))
    mixed[11] = replace(water, volume=np.concatenate([fat.volume[:9], water.volume[9:]]))
    volume = read(tmp_path, mixed)
    values = found(volume, Trap.SWAP)[0].values
    assert (values["swapped_slices"], values["slices"]) == (9, 22)
    assert error_of(volume) < 0.02


def test_dark_and_folded_ends_are_dropped(clean, tmp_path):
    def spoil(series):
        values = series.volume.astype(float)
        values[:3] = 0.3 * values[:3] + 0.2 * values[-4:-1]
        values[-2:] *= 0.2
        return with_volume(series, values)

    volume = read(tmp_path, changed(clean, 3, spoil))
    (finding,) = found(volume, Trap.END_SLICES)
    assert (finding.station, finding.action) == (3, Action.CORRECTED)
    assert finding.values == {"head_slices": 3, "feet_slices": 2}
    assert error_of(volume) < 0.02


@pytest.mark.parametrize(("gap", "fate"), [(12.0, Action.CORRECTED), (30.0, None)])
def test_gap_is_bridged_or_refused(clean, tmp_path, gap, fate):
    def lower(series):
        x, y, z = series.origin_mm
        return replace(series, origin_mm=(x, y, z - 39.0 - gap))

    stations = clean
    for number in range(3, 7):
        stations = changed(stations, number, lower)
    if fate is None:
        with pytest.raises(errors.IncompleteScanError, match="hole of 30 mm below station 2"):
            read(tmp_path, stations)
    else:
        (finding,) = found(read(tmp_path, stations), Trap.GAP)
        assert (finding.station, finding.action) == (2, fate)
        assert finding.values["gap_mm"] == pytest.approx(gap, abs=0.01)


def test_unequal_lengths_use_common_positions(clean, tmp_path):
    def shorten(series):
        x, y, z = series.origin_mm
        return replace(series, volume=series.volume[2:], origin_mm=(x, y, z - 2 * series.spacing[0]))

    volume = read(tmp_path, changed(clean, 4, shorten, contrasts="F"))
    (finding,) = found(volume, Trap.UNEQUAL_LENGTHS)
    assert finding.values == {"fat_slices": 20, "water_slices": 22, "common_slices": 20}
    assert error_of(volume) < 0.02


def test_intensity_steps_leave_no_seam(clean, tmp_path):
    stations = changed(clean, 2, lambda s: with_volume(s, s.volume * 1.8))
    volume = read(tmp_path, stations)
    steps = {f.station: f.values["factor"] for f in found(volume, Trap.INTENSITY_STEP)}
    assert steps[1] == pytest.approx(1.8, rel=0.01)
    assert steps[2] == pytest.approx(1 / 1.8, rel=0.01)
    total = (volume.water + volume.fat)[:, 40:70, 40:70]
    profile = np.median(total[volume.rows[0] + 5 : volume.rows[1] - 5], axis=(1, 2))
    assert np.abs(np.diff(np.log(profile))).max() < 0.05


@pytest.mark.parametrize(
    ("usual", "flaw", "trap"),
    [
        ({"log_gain": 0.45}, {"log_gain": -0.55}, Trap.INTENSITY_STEP),
        ({"front_mm": (0, 8, 0)}, {"front_mm": (0, -9, 0)}, Trap.BREATHING_OFFSET),
        ({"front_mm": (0, 0, -17)}, {"front_mm": (0, 0, 19)}, Trap.BREATHING_OFFSET),
        ({"back_mm": (2.5, 0, 0)}, {"back_mm": (-3.5, 0, 0)}, Trap.BREATHING_OFFSET),
    ],
)
def test_what_usually_differs_between_stations_is_no_flaw(usual, flaw, trap):
    slabs = [SimpleNamespace(number=k) for k in (1, 2, 3)]
    bias = np.zeros((2, 2), np.float32)
    matches = [Match(**{"log_gain": 0.0, "log_bias": bias, **values}) for values in (usual, flaw)]
    assert [(f.trap, f.station) for f in _findings(slabs, matches)] == [(trap, 2)]


def test_breathing_offset_is_reported(clean, tmp_path):
    shifted = phantom_stations(signal=lambda x, y, z: signal(x - 7.0, y, z))
    stations = [
        b if k in of_station(clean, 3) else a for k, (a, b) in enumerate(zip(clean, shifted, strict=True))
    ]
    volume = read(tmp_path, stations)
    offsets = {f.station: f.values for f in found(volume, Trap.BREATHING_OFFSET)}
    assert set(offsets) == {2, 3}
    assert offsets[2]["left_mm"] == pytest.approx(7.0, abs=2.0)


def test_void_and_cut_are_reported(tmp_path):
    def with_metal(x, y, z):
        water, fat = signal(x, y, z)
        metal = np.hypot(np.hypot(x, y - 60), z - 400) < 28
        arm = np.hypot(x + 245, y) < 30
        return np.where(metal, 0, np.where(arm, 400, water)), np.where(metal, 0, np.where(arm, 60, fat))

    volume = read(tmp_path, phantom_stations(signal=with_metal))
    (void,) = found(volume, Trap.SIGNAL_VOID)
    assert void.values["below_mm"] == pytest.approx(400, abs=12)
    assert all(f.values["right_slices"] >= 3 for f in found(volume, Trap.CUT_ARMS))
    assert found(volume, Trap.CUT_ARMS)


def test_lost_slices(clean, tmp_path):
    volume = read(tmp_path, clean[2:4] + clean[4:], traps=[ArchiveTrap.LOST_SLICE])
    assert [f.action for f in found(volume, Trap.LOST_SLICE)] == [Action.CORRECTED]
    volume = read(tmp_path, clean, traps=[ArchiveTrap.LOST_SLICE])
    assert [f.action for f in found(volume, Trap.LOST_SLICE)] == [Action.REPORTED]


@pytest.mark.parametrize(
    ("trap", "error"),
    [
        (ArchiveTrap.TRUNCATED, errors.TruncatedZipError),
        (ArchiveTrap.NO_SLICES, errors.NoDixonInArchiveError),
        (ArchiveTrap.MIXED_PEOPLE, errors.AmbiguousScanError),
        (ArchiveTrap.HOSTILE_NAME, errors.HostileArchiveError),
    ],
)
def test_broken_archives(clean, tmp_path, trap, error):
    with pytest.raises(error):
        read(tmp_path, clean, traps=[trap])


def test_wrong_files(tmp_path, clean):
    with pytest.raises(errors.NoScansError):
        read_dixon(tmp_path / "nothing.zip")
    (tmp_path / "1_20158_2_0.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(errors.WrongModalityError):
        read_dixon(tmp_path / "1_20158_2_0.zip")
    (tmp_path / "empty.zip").write_bytes(b"")
    with pytest.raises(errors.EmptyFileError):
        read_dixon(tmp_path / "empty.zip")
    with pytest.raises(errors.NoDixonInArchiveError, match="no fat"):
        read(tmp_path, [s for s in clean if s.contrast != "F"])
    blank = [with_volume(s, np.zeros(s.volume.shape)) for s in clean]
    with pytest.raises(errors.BlankImageError):
        read(tmp_path, blank)


def rewritten(path, change):
    """The archive with ``change(dataset)`` applied to each slice."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if name.endswith(".dcm"):
                dataset = pydicom.dcmread(io.BytesIO(data))
                change(dataset)
                buffer = io.BytesIO()
                dataset.save_as(buffer, enforce_file_format=True)
                data = buffer.getvalue()
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("turn", ["flip_x", "flip_y", "transpose"])
def test_orientation_is_obeyed(clean, volume, tmp_path, turn):
    used = [s for s in clean if s.contrast in "FW"]
    path = write_dixon_zip(tmp_path, used, eid=1, instance=2, rng=np.random.default_rng(1))

    def change(dataset):
        pixels = dataset.pixel_array
        position = [float(v) for v in dataset.ImagePositionPatient]
        dy, dx = (float(v) for v in dataset.PixelSpacing)
        across, down = [1, 0, 0], [0, 1, 0]
        if turn == "flip_x":
            pixels, across = pixels[:, ::-1], [-1, 0, 0]
            position[0] += (pixels.shape[1] - 1) * dx
        elif turn == "flip_y":
            pixels, down = pixels[::-1], [0, -1, 0]
            position[1] += (pixels.shape[0] - 1) * dy
        else:
            pixels, across, down = pixels.T, [0, 1, 0], [1, 0, 0]
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
        dataset.ImagePositionPatient = [f"{v:.6f}" for v in position]
        dataset.ImageOrientationPatient = [*across, *down]

    turned = read_dixon(rewritten(path, change), grid=GRID)
    np.testing.assert_allclose(turned.water, volume.water, atol=0.5)


@pytest.mark.parametrize(("slope", "intercept"), [("1e308", "0"), ("1", "-1e308"), ("1e30", "0")])
def test_an_absurd_rescale_is_damage(clean, tmp_path, slope, intercept):
    used = [s for s in clean if s.contrast in "FW"][:2]
    path = write_dixon_zip(tmp_path, used, eid=1, instance=2, rng=np.random.default_rng(1))

    def change(dataset):
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept

    with pytest.raises(errors.TruncatedDicomError):
        read_dixon(rewritten(path, change), grid=GRID)


def test_fat_with_other_rows_than_water_is_no_station(clean, tmp_path):
    def taller(series):
        dz, dy, dx = series.spacing
        return replace(series, spacing=(dz, 1.02 * dy, dx))

    with pytest.raises(errors.IncompleteScanError):
        read(tmp_path, changed(clean, 3, taller, contrasts="F"))


def test_oblique_slices_are_refused(clean, tmp_path):
    few = [s for s in clean if s.contrast in "FW"][:2]
    path = write_dixon_zip(tmp_path, few, eid=1, instance=2, rng=np.random.default_rng(1))

    def tilt(dataset):
        dataset.ImageOrientationPatient = [0.9962, 0.0872, 0, -0.0872, 0.9962, 0]

    with pytest.raises(errors.UnsupportedImageError, match="oblique"):
        read_dixon(rewritten(path, tilt))


def test_archive_is_like_the_real_ones(clean, tmp_path):
    one, two = (
        write_dixon_zip(tmp_path, clean[:5], eid=7, instance=3, rng=np.random.default_rng(s)) for s in (1, 1)
    )
    first = one.read_bytes()
    write_dixon_zip(tmp_path, clean[:5], eid=7, instance=3, rng=np.random.default_rng(1))
    assert one.name == "7_20201_3_0.zip"
    assert two.read_bytes() == first
    with zipfile.ZipFile(one) as archive:
        names = [n for n in archive.namelist() if n.endswith(".dcm")]
        headers = [pydicom.dcmread(io.BytesIO(archive.read(n))) for n in names[:40]]
    assert len(names) == sum(len(s.volume) for s in clean[:5])
    assert {h.SeriesDescription for h in headers} <= {
        *(f"Dixon_noBH_{c}" for c in ("in", "opp", "F", "W")),
        "Dixon_BH_17s_in",
    }
    assert {h.SOPClassUID.name for h in headers} == {"MR Image Storage"}
    assert len({h.SeriesInstanceUID for h in headers}) <= 5
    numbers = [int(h.InstanceNumber) for h in headers]
    assert numbers != sorted(numbers)
    assert all(h.PatientName and h.PatientBirthDate for h in headers)


def test_nothing_personal_leaves(clean, tmp_path):
    path = write_dixon_zip(tmp_path, clean, eid=7654321, instance=2, rng=np.random.default_rng(5))
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dcm"))
        header = pydicom.dcmread(io.BytesIO(archive.read(name)))
    other = path.rename(tmp_path / "Agnes Ashdown.zip")
    volume = read_dixon(other, grid=GRID)
    assert volume.sha256 == hashlib.sha256(other.read_bytes()).hexdigest()
    shown = repr((volume.mri_id, volume.findings))
    for value in (str(header.PatientName), header.PatientBirthDate, header.StudyDate, "7654321", "Ashdown"):
        assert value not in shown
    assert volume.mri_id.startswith("mri-")
