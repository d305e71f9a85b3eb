"""A study of two folds and a few steps: its files, its tables, its resumption, and what it refuses."""

import csv
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from store_cases import make_cohort, write_cohort

from spinelift.cohort.manifest import PAIRS, read_manifest
from spinelift.errors import ConfigError
from spinelift.evaluate.people import hash_people
from spinelift.store.rows import PairStore
from spinelift.study import steps
from spinelift.study.config import StudyConfig
from spinelift.study.people import HELD_OUT, TEST, group_names, read_traits
from spinelift.study.run import run_study
from spinelift.study.scores import Scored
from spinelift.study.steps import BASELINES, Plan, Study

SMOKE = StudyConfig.load("study_smoke.yaml")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("cohort"), 318, 1)


@pytest.fixture(scope="module")
def people(cohort):
    path = cohort / "people.csv"
    path.write_text(
        "eid,sex,age_years\n" + "".join(f"{1_000_000 + k},{k % 2},{50 + k % 9}\n" for k in range(320))
    )
    return path


@pytest.fixture(scope="module")
def done(cohort, people, tmp_path_factory):
    """A study that is stopped once before the test, and then run to its end."""
    plan = Plan(cohort, tmp_path_factory.mktemp("study") / "out", SMOKE, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study, "measure_test", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_study(plan, people=people, log=print)
    assert not (plan.out / "test.json").exists()
    lines: list[str] = []
    run_study(plan, people=people, log=lines.append)
    return plan, lines


def stopped(*_):
    raise KeyboardInterrupt


def entries(plan):
    with (plan.out / "study.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_was_done_before_a_stop_is_not_done_again(done):
    _, lines = done
    assert not [
        line for line in lines if line.startswith(("training", "writing the pairs", "measuring rows"))
    ]
    assert [line for line in lines if line.startswith("testing")]


def test_no_network_has_seen_the_people_that_it_is_measured_on(done):
    plan, _ = done
    study = Study.begin(plan)
    test = hash_people(PairStore.open(study.store_of("test")).load().eid)
    validation = hash_people(PairStore.open(study.store_of("val")).load().eid)
    for entry in plan.config.networks:
        for fold in range(2):
            seen = {*chunks((study.run_of(entry, fold) / "people.bin").read_bytes())}
            held_out = hash_people(PairStore.open(study.store_of("train", fold)).load().eid)
            assert not seen & {*chunks(test), *chunks(validation), *chunks(held_out)}
            assert len(seen) > 150


def chunks(data):
    return [data[k : k + 8] for k in range(0, len(data), 8)]


def test_the_tables_hold_every_figure_of_every_model(done):
    plan, _ = done
    rows = entries(plan)
    document = json.loads((plan.out / "study.json").read_text())
    assert len(document["entries"]) == len(rows)
    models = {"rows", "small rows", *BASELINES}
    for part in (HELD_OUT, TEST):
        for fold in ("pooled", "0", "1"):
            chosen = [r for r in rows if (r["part"], r["fold"], r["group"]) == (part, fold, "")]
            for metric in ("mae_mm", "sagittal_mae_px", "coronal_left_relative_error_percent", "iou3d"):
                assert {r["model"] for r in chosen if r["metric"] == metric} == models
    tables = {(r["table"], r["group"], r["metric"]) for r in rows if r["model"] == "rows"}
    assert {("detection", "10°", m) for m in ("sensitivity", "specificity", "auc")} <= tables
    assert {("agreement", a, "bias_deg") for a in ("ferguson", "kyphosis", "lordosis")} <= tables
    assert ("intervals", "90 %", "sagittal_coverage_percent") in tables
    assert {g for t, g, _ in tables if t == "groups"} >= {"sex: F", "sex: M", "age, years: 55 to 65"}
    assert all(float(r["low"]) <= float(r["value"]) + 1e-4 for r in rows if r["table"] == "metrics")
    assert document["test_set"]["people"] < document["test_set"]["pairs"] + 1
    assert [r["people"] for r in document["runs"]] == [
        r["people"] for r in document["runs"] if r["people"] > 150
    ]


def test_pooled_figures_are_those_of_all_pairs(done):
    plan, _ = done
    study = Study.begin(plan)
    folds = [Scored.load(study.scores_of("rows", HELD_OUT, fold)) for fold in range(2)]
    values = np.concatenate([f.metrics["mae_mm"] for f in folds])
    (row,) = [
        r
        for r in entries(plan)
        if (r["part"], r["model"], r["fold"], r["metric"], r["group"])
        == (HELD_OUT, "rows", "pooled", "mae_mm", "")
    ]
    assert float(row["value"]) == pytest.approx(values.mean(), abs=1e-4)
    pairs = PairStore.open(study.store_of("train", 0)).load()
    error = np.abs(folds[0].curves - pairs.curves) * pairs.mm_per_px[:, None, None]
    assert folds[0].metrics["coronal_mae_mm"] == pytest.approx(error[:, :3].mean((1, 2)), abs=1e-4)
    assert folds[0].error_mm[:, 1] == pytest.approx(error[:, 3:].mean(1), abs=1e-4)


def test_the_page_is_one_file(done):
    plan, _ = done
    page = (plan.out / "study.html").read_text()
    assert 'src="http' not in page
    assert "<link" not in page
    assert page.count("data:image/png;base64,") == 4
    assert "3.12" in page
    assert not any(str(eid) in page for eid in range(1_000_000, 1_000_320))


def test_mlflow_has_every_run_with_its_settings_and_figures(done):
    mlflow = pytest.importorskip("mlflow")
    plan, _ = done
    client = mlflow.MlflowClient(tracking_uri=(plan.out / "mlruns").resolve().as_uri())
    (experiment,) = [e for e in client.search_experiments() if e.name == "study"]
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == sorted(f"{n.name}, fold {k} held out" for n in SMOKE.networks for k in range(2))
    run = runs[f"{SMOKE.networks[0].name}, fold 1 held out"]
    assert run.data.params["loop.batch"] == str(Study.begin(plan).training[0].loop.batch)
    scored = Scored.load(Study.begin(plan).scores_of(SMOKE.networks[0].name, TEST, 1))
    expected = scored.metrics["coronal_mae_mm"].mean()
    assert run.data.metrics["test/coronal_mae_mm"] == pytest.approx(expected)
    assert client.get_metric_history(run.info.run_id, "validation/coronal_mae_mm")


def test_a_study_with_other_settings_is_another_study(done, cohort, tmp_path):
    plan, _ = done
    other = plan.config.networks[0].model_copy(update={"change": {"loop.batch": 8}})
    changed = plan.config.model_copy(update={"networks": [other, plan.config.networks[1]]})
    with pytest.raises(ConfigError, match="batch"):
        Study.begin(replace(plan, config=changed))
    with pytest.raises(ConfigError, match="cohort_sha256"):
        Study.begin(replace(plan, store=make_cohort(tmp_path, 320, 2)))
    Study.begin(replace(plan, threads=2))


def test_mistakes_are_refused_before_any_work(cohort, tmp_path):
    plan = Plan(cohort, tmp_path / "out", SMOKE)
    frame, pairs = read_manifest(cohort), PairStore.open(cohort / PAIRS).load()
    arrays = {name: getattr(pairs, name) for name in ("image", "curves", "mm_per_px")}
    write_cohort(tmp_path / "few", frame.head(200), **{name: a[:200] for name, a in arrays.items()})
    with pytest.raises(ConfigError, match=r"in fold 0 .* to calibrate on"):
        Study.begin(replace(plan, store=tmp_path / "few"))
    untested = frame.with_columns(split=pl.col("split").replace("test", "val"))
    write_cohort(tmp_path / "no-test", untested, **arrays)
    with pytest.raises(ConfigError, match="split test is empty"):
        Study.begin(replace(plan, store=tmp_path / "no-test"))

    def one(**values):
        entry = SMOKE.networks[0].model_copy(update=values)
        return replace(plan, config=SMOKE.model_copy(update={"networks": [entry]}))

    with pytest.raises(ConfigError, match="no initial weights"):
        Study.begin(one(change={"init_from": str(tmp_path / "none.safetensors")}))
    with pytest.raises(ConfigError, match="no pre-trained weights"):
        Study.begin(replace(one(config="paper.yaml"), weights=tmp_path / "none.safetensors"))
    with pytest.raises(ConfigError, match="widht"):
        Study.begin(one(change={"network.widht": 3}))
    with pytest.raises(ConfigError, match="key `change`"):
        Study.begin(one(change={"networks.width": 3}))
    with pytest.raises(ConfigError, match="without a truth"):
        Study.begin(one(curves="truth"))
    assert not plan.out.exists()


def test_configurations_are_checked(tmp_path):
    text = "version: 1\nbudget: {minutes: 1, epochs: 2}\nnetworks: [{name: a, config: smoke.yaml}]\n"
    (tmp_path / "two.yaml").write_text(text)
    with pytest.raises(ConfigError, match="one of minutes and epochs"):
        StudyConfig.load(tmp_path / "two.yaml")
    (tmp_path / "twice.yaml").write_text(
        text.replace(", epochs: 2", "").replace("]", ", {name: A, config: b}]")
    )
    with pytest.raises(ConfigError, match="different names"):
        StudyConfig.load(tmp_path / "twice.yaml")


def test_budgets_are_the_only_limit():
    for name in ("study.yaml", "study_short.yaml"):
        config = StudyConfig.load(name)
        for one in config.training(from_scratch=True):
            assert one.loop.steps is None
            assert (one.loop.epochs is None) != (one.loop.max_seconds is None)


def test_what_is_known_of_people(tmp_path):
    table = tmp_path / "people.csv"
    table.write_text("eid,sex,age_years\n7,Female,61.5\n8,1,\n9,,70\n")
    traits = read_traits(table)
    assert traits == {
        7: {"sex": "F", "age_years": 61.5}, 8: {"sex": "M"}, 9: {"age_years": 70.0},
    }  # fmt: skip
    assert group_names(traits[7], 10.0) == [
        "sex: F",
        "age, years: 55 to 65",
        "true Ferguson angle, °: 10 to 20",
    ]
    assert group_names({}, 25.0) == ["true Ferguson angle, °: 20 and more"]
    table.write_text("person\n7\n")
    with pytest.raises(ConfigError, match="table of people"):
        read_traits(table)


def test_truth_is_the_curve_in_the_crop(cohort, tmp_path, monkeypatch):
    """Networks of true curves are trained on other stores, and all are tested against true curves too."""

    def shifted(store, truth):
        return lambda pairs, rows: replace(pairs, curves=pairs.curves + 1)

    monkeypatch.setattr(steps, "with_true_curves", shifted)
    plan = Plan(cohort, tmp_path / "out", SMOKE, truth=tmp_path)
    study = Study.begin(plan)
    study.write_pairs(print)
    mine, true = (PairStore.open(study.store_of("test", curves=c)).load() for c in ("pipeline", "truth"))
    assert np.array_equal(mine.curves + 1, true.curves)
    assert np.array_equal(mine.image, true.image)
