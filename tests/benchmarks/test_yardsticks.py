import numpy as np
import pytest
from benchmarks.yardsticks import YardstickCase, load_cases, save_cases
from benchmarks.yardsticks.__main__ import parse_cases
from benchmarks.yardsticks.degrade import DAMAGES, degrade, plot_steps
from benchmarks.yardsticks.drawn import drawn_case
from benchmarks.yardsticks.drawn_body import sweep
from benchmarks.yardsticks.drawn_spine import draw_curve
from benchmarks.yardsticks.real_scan import Marks, read_scan, sagittal_distance
from benchmarks.yardsticks.run import TITLES, Plan, run_yardsticks
from benchmarks.yardsticks.score import case_errors, score_cases
from benchmarks.yardsticks.statistics import picture_statistics, radial_spectrum, spacing_frame
from PIL import Image

from spinelift.curves import Curve
from spinelift.errors import ConfigError
from spinelift.geometry import SPINE_ROWS, Spacing
from spinelift.simulate.body.prior import N_LEVELS, ShapePrior


def case(name: str, *, valid: int = SPINE_ROWS, known: tuple[int, ...] = tuple(range(6))) -> YardstickCase:
    curves = np.zeros((6, SPINE_ROWS), np.float32)
    curves[:3] = np.array([[122], [112], [102]])
    curves[3:] = np.array([[-10], [0], [10]]) + np.linspace(-20, 20, SPINE_ROWS)
    image = np.full((224, 224), 100, np.uint8)
    return YardstickCase(
        name, image, curves, 2.0, np.arange(SPINE_ROWS) < valid, np.isin(np.arange(6), known)
    )


def test_errors_count_known_rows_and_curves_alone():
    c = case("a/0", valid=100, known=(1, 4))
    wrong = c.curves[None].astype(float)
    wrong[:, Curve.CENTRE] += 1.5
    wrong[:, Curve.LEFT] += 50  # unknown
    wrong[:, 3:] += 7  # the sagittal zero does not matter
    wrong[:, :, 100:] += 99
    errors = case_errors([c], wrong, np.full((1, 6, SPINE_ROWS), 1.0))
    assert errors["coronal_mae_mm"] == pytest.approx([3.0])
    assert errors["sagittal_mae_mm"] == pytest.approx([0.0], abs=1e-5)
    assert errors["deviation3d_mm"] == pytest.approx([3.0])
    assert errors["coronal_coverage90_percent"] == [0.0]
    assert errors["sagittal_coverage90_percent"] == [100.0]
    assert errors["sagittal_interval90_mm"] == pytest.approx([4.0])


def test_ratio_and_people():
    cases = [case("a/0"), case("a/1"), case("b/0")]
    curves = np.stack([c.curves for c in cases]).astype(float)
    curves[:, Curve.SAGITTAL] += np.linspace(-1, 1, SPINE_ROWS)
    mean = cases[0].curves.astype(float)
    mean[Curve.SAGITTAL] += np.linspace(-2, 2, SPINE_ROWS)
    figures = {f.name: f for f in score_cases(cases, curves, None, mean)}
    assert figures["sagittal_mae_mm"].people == 2
    assert figures["sagittal_centre_mae_mm"].ratios["mean curve"].value == pytest.approx(0.5, abs=1e-3)


def test_cases_round_trip(tmp_path):
    save_cases(tmp_path / "x" / "c.npz", [case("a/0", valid=3), case("b/1")])
    one, two = load_cases(tmp_path / "x" / "c.npz")
    assert (one.name, one.person, one.valid.sum(), two.mm_per_px) == ("a/0", "a", 3, 2.0)
    with pytest.raises(ConfigError):
        load_cases(tmp_path / "none.npz")


def test_swept_tube_is_closed_and_outward():
    points, faces = sweep(np.stack([np.linspace(0, 10, 9), np.zeros(9), np.zeros(9)], 1), np.ones((9, 2)))
    a, b, c = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    assert (np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6) == pytest.approx(28.3, abs=0.1)


def test_drawn_person_is_reproducible_and_whole():
    one, again = drawn_case("d/0", (1, 2)), drawn_case("d/0", (1, 2))
    assert np.array_equal(one.image, again.image)
    left, centre, right, front, middle, back = one.curves
    assert (left > centre).all() and (centre > right).all()  # noqa: PT018
    assert (front < middle).all() and (middle < back).all()  # noqa: PT018
    rows = np.arange(20, 200)
    spine = one.image[rows + 7, np.round(centre[rows]).astype(int)].mean()
    beside = one.image[rows + 7, np.round(centre[rows]).astype(int) + 28].mean()
    assert spine > beside + 20


def test_drawn_curves_are_kyphotic_then_lordotic():
    angles = []
    for k in range(60):
        d = np.diff(draw_curve(np.random.default_rng(k)), axis=0)
        angles.append(np.degrees(np.arctan2(d[:, 1], d[:, 2])))
    mean = np.mean(angles, 0)
    assert 20 < mean[0] - mean.min() < 42
    assert 15 < mean[-1] - mean.min() < 40


def test_degrading_keeps_zero_strength_and_grows():
    cases = [case(f"{k}/0") for k in range(3)]

    def predictor(images):
        blackness = (images == 0).mean((1, 2))[:, None, None]
        curves = np.stack([cases[0].curves] * len(images)).astype(float)
        curves[:, 4] += 10 * blackness[:, 0] * np.linspace(-1, 1, SPINE_ROWS)
        return curves, np.ones_like(curves) + blackness

    steps = degrade(cases, predictor, cases[0].curves.astype(float))
    assert {s.kind for s in steps} == set(DAMAGES)
    rows = [s for s in steps if s.kind == "missing rows"]
    assert rows[0].sagittal_mae_mm == pytest.approx(0, abs=1e-5)
    assert np.all(np.diff([s.sagittal_mae_mm for s in rows]) > 0)
    assert np.all(np.diff([s.sagittal_interval90_mm for s in rows]) > 0)


def test_plot_of_damage(tmp_path):
    pytest.importorskip("matplotlib")
    steps = degrade(
        [case("a/0")], lambda i: (np.zeros((len(i), 6, SPINE_ROWS)),) * 2, np.zeros((6, SPINE_ROWS))
    )
    plot_steps(steps, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_marks_descend_within_the_scan():
    marks = Marks.load()
    assert marks.centres.shape == (N_LEVELS, 2)
    assert (np.diff(np.r_[marks.top[0], marks.centres[:, 0], marks.bottom[0]]) > 0).all()
    assert marks.line(np.array([marks.centres[3, 0]])) == pytest.approx([marks.centres[3, 1]])


def test_another_picture_is_refused(tmp_path):
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(ConfigError, match="791×272"):
        read_scan(tmp_path / "x.png")


def test_mean_spine_is_human_and_a_bent_one_is_not():
    prior = ShapePrior.load()
    c = prior.centres(prior.mean)
    z = np.linspace(c[0, 2] - 9, c[-1, 2] + 12, SPINE_ROWS)
    y = np.interp(z, c[:, 2], c[:, 1])
    assert sagittal_distance(z, y, prior) < 0.7
    assert sagittal_distance(z, -y, prior) > 2  # back to front


def test_spectrum_of_noise_is_flat_and_statistics_find_the_boxes():
    white = np.random.default_rng(0).normal(size=(207, 156))
    assert radial_spectrum(white) == pytest.approx(np.ones(10), abs=0.5)
    picture = np.full((400, 272), 80, np.uint8)
    picture[:, 130:146] = 200
    stats = picture_statistics(picture, spacing_frame(Spacing(2.4, 2.4), (100, 138), (306, 138)))
    assert stats.thoracic == pytest.approx((200, 0))
    assert stats.belly == pytest.approx((80, 0))


def test_a_yardstick_without_data_is_skipped_with_the_reason(tmp_path):
    def predictor(images):
        flat = np.zeros((len(images), 6, SPINE_ROWS))
        return flat, flat + 1

    plan = Plan(out=tmp_path, yardsticks=(2, 3, 4, 5), drawn=3, degrade_people=0)
    report = run_yardsticks(plan, predictor, None)
    assert "--centroids" in report.skipped[2]
    assert "--scan" in report.skipped[4]
    assert "--centroids" in report.skipped[5]
    assert report.figures[TITLES[3]][0].people == 3
    assert {p.name for p in tmp_path.iterdir()} == {"cases", "report.json", "report.md", "sheet.png"}


@pytest.mark.parametrize("text", ["", "7", "1;2"])
def test_wrong_case_numbers(text):
    with pytest.raises(ConfigError):
        parse_cases(text)


def test_case_numbers():
    assert parse_cases("3,1") == (1, 3)


def test_figures_go_into_a_card_and_replace_earlier_ones(tmp_path):
    import shutil

    from benchmarks.yardsticks.bundle import add_to_card

    from spinelift.bundle import PredictionCard, load_bundle
    from spinelift.bundle.bundle import SHIPPED
    from spinelift.evaluate.bootstrap import Estimate
    from spinelift.evaluate.table import Row

    folder = tmp_path / "bundle"
    shutil.copytree(SHIPPED / "default", folder)
    before = len(load_bundle(PredictionCard, folder).card.metrics)
    for value in (7.0, 6.0):
        figure = Row("sagittal_mae_mm", 62, Estimate(value, 5, 8), {"mean curve": Estimate(7.5, 7.0, 8.0)})
        add_to_card(folder, {"a yardstick of this test": [figure]})
    metrics = load_bundle(PredictionCard, folder).card.metrics
    assert len(metrics) == before + 1
    assert (metrics[-1].value, metrics[-1].spines, metrics[-1].baselines) == (6.0, 62, {"mean curve": 7.5})
