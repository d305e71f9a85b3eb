import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from store_cases import make_pairs, make_scans
from typer.testing import CliRunner

from spinelift.bundle import PredictionCard, load_bundle, shipped
from spinelift.cli.evaluate import app as evaluate_app
from spinelift.cli.train import app as train_app
from spinelift.config import packaged_configs
from spinelift.errors import BundleError, ConfigError
from spinelift.evaluate.pairs import run_regressor
from spinelift.evaluate.people import hash_people, join_people
from spinelift.inference.calibrate import Calibrator
from spinelift.learn.aligner.config import AlignerConfig
from spinelift.learn.export.bundle import BundlePlan, Trained, make_bundle
from spinelift.learn.export.card import terms_of
from spinelift.learn.loop.checkpoint import read_rows
from spinelift.learn.mri_segmenter.config import MriSegmenterConfig
from spinelift.learn.people import people_beside
from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
from spinelift.learn.regressor.calibrate import (
    Gains,
    Shrunk,
    calibrate,
    conformal_factors,
    fit_gains,
    residual_modes,
    shift_reference,
)
from spinelift.learn.regressor.config import RegressorConfig
from spinelift.learn.regressor.head import Prediction
from spinelift.learn.regressor.train import load_regressor, make_network, predict_pairs, train_regressor
from spinelift.learn.segmenter.config import SegmenterConfig
from spinelift.learn.segmenter.train import train_segmenter
from spinelift.store.rows import PairStore
from spinelift.study.config import StudyConfig

SMOKE = RegressorConfig.load("smoke.yaml")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    people = {"train": (160, 1), "val": (24, 2), "calibration": (96, 3), "test": (30, 4)}
    for k, (name, (n, seed)) in enumerate(people.items()):
        make_pairs(folder / f"{name}.zarr", n, seed, first_eid=1000 * k)
    return folder


def shorter(**loop: object) -> RegressorConfig:
    return SMOKE.model_copy(update={"loop": SMOKE.loop.model_copy(update=loop)})


def fit(config, stores, out, **kwargs):
    return train_regressor(
        config, data=[stores / "train.zarr"], validation=stores / "val.zarr", out=out, **kwargs
    )


@pytest.fixture(scope="module")
def trained(stores, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "regressor"
    outcome = fit(shorter(steps=120), stores, out)
    return out, outcome


@pytest.mark.parametrize("name", packaged_configs())
def test_every_packaged_config_is_valid(name):
    kinds = {
        "segmenter": SegmenterConfig,
        "lva": SegmenterConfig,
        "align": AlignerConfig,
        "mri_segmenter": MriSegmenterConfig,
        "pseudo_labels": PseudoLabelConfig,
        "study": StudyConfig,
    }
    kind = next((k for start, k in kinds.items() if name.startswith(start)), RegressorConfig)
    config = kind.load(name)
    if isinstance(config, RegressorConfig) and config.network.kind == "rows":
        make_network(config.network)


def test_wrong_configs_say_what_is_wrong(tmp_path):
    with pytest.raises(ConfigError, match=r"default\.yaml"):
        RegressorConfig.load("no_such.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nnetwork: {kind: rows, widht: 3}\noptim: {rate: 1}\nloop: {steps: 1}\n")
    with pytest.raises(ConfigError, match="widht"):
        RegressorConfig.load(bad)
    bad.write_bytes(b"base: default.yaml\nversion: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml: .*utf-8"):
        RegressorConfig.load(bad)
    bad.write_text("base: 7\n")
    with pytest.raises(ConfigError, match="no file 7"):
        RegressorConfig.load(bad)
    bad.write_text("base: default.yaml\naugment: {tone: {blurr: 1}}\n")
    with pytest.raises(ConfigError, match="blurr"):
        RegressorConfig.load(bad)


def test_a_configuration_changes_some_values_of_its_base(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("base: default.yaml\naugment: {tone: {blur: 0.1}}\noptim: {schedule: {kind: cosine}}\n")
    mine, base = RegressorConfig.load(file), RegressorConfig.load("default.yaml")
    assert mine.augment.tone.blur == 0.1
    assert mine.augment.plain == base.augment.plain
    assert mine.optim == base.optim


def test_it_learns_the_painted_spines(trained, stores):
    out, outcome = trained
    pairs = PairStore.open(stores / "val.zarr").load()
    model, _ = load_regressor(out)
    curves, scale, features = predict_pairs(model, pairs.image)
    mean = np.abs(PairStore.open(stores / "train.zarr").load().curves.mean(0) - pairs.curves)
    assert np.abs(curves - pairs.curves)[:, :3].mean() < 0.6 * mean[:, :3].mean()
    assert np.abs(curves - pairs.curves)[:, 3:].mean() < 0.8 * mean[:, 3:].mean()
    assert outcome.steps == 120
    assert (scale > 0).all()
    assert features.shape == (24, 32)


def test_a_run_leaves_its_record(trained):
    out, _ = trained
    record = json.loads((out / "run.json").read_text())
    assert (record["people"], record["steps"], record["seed"]) == (160, 120, 1)
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert {r["name"] for r in read_rows(out / "log.csv")} >= {
        "loss",
        "l1",
        "nll",
        "smooth",
        "coronal_mae_mm",
        "sagittal_mae_mm",
    }
    assert (out / "log.png").stat().st_size > 1000
    assert RegressorConfig.load(out / "config.yaml").loop.steps == 120


def test_a_stopped_run_resumes_to_the_same_weights(stores, tmp_path, monkeypatch):
    fit(SMOKE, stores, tmp_path / "whole")
    from spinelift.learn.regressor.train import RegressorTask

    calls, losses = iter(range(1000)), RegressorTask.losses

    def killed(self, batch, random):
        if next(calls) == 13:
            raise KeyboardInterrupt
        return losses(self, batch, random)

    with monkeypatch.context() as patch:
        patch.setattr(RegressorTask, "losses", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(shorter(checkpoint_seconds=0.0), stores, tmp_path / "cut")
    fit(SMOKE, stores, tmp_path / "cut", resume=True)
    whole, cut = (load_file(tmp_path / n / "weights.safetensors") for n in ("whole", "cut"))
    assert all(torch.equal(whole[k], cut[k]) for k in whole)
    steps = [[r["step"] for r in read_rows(tmp_path / n / "log.csv")] for n in ("whole", "cut")]
    assert steps[0] == steps[1]


def test_the_best_weights_are_kept_and_a_run_stops_for_want_of_better_ones(stores, tmp_path, monkeypatch):
    from spinelift.learn.regressor.train import RegressorTask

    values = [5.0, 3.0, 4.0, float("nan"), 2.0]

    def found(self, model, limit):
        weights.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"mae_mm": values[len(weights) - 1]}

    monkeypatch.setattr(RegressorTask, "validate", found)
    loop = {"keep_best": "mae_mm", "patience": 2, "validate_every": 2, "steps": 40}
    weights: list[dict[str, torch.Tensor]] = []
    outcome = fit(shorter(**loop), stores, tmp_path / "run")
    assert (outcome.steps, outcome.validation) == (8, {"mae_mm": 3.0})
    kept = load_file(tmp_path / "run" / "weights.safetensors")
    assert all(torch.equal(kept[k], v) for k, v in weights[1].items())
    weights = []
    fit(shorter(**loop | {"steps": 4}), stores, tmp_path / "cut")
    outcome = fit(shorter(**loop), stores, tmp_path / "cut", resume=True)  # it has the best of before
    assert (outcome.steps, outcome.validation) == (8, {"mae_mm": 3.0})
    with pytest.raises(ConfigError, match="a metric of the validation: mae_mm"):
        fit(shorter(keep_best="dice"), stores, tmp_path / "none")


def test_a_run_stops_on_time_and_starts_from_given_weights(trained, stores, tmp_path):
    out, outcome = trained
    config = shorter(steps=None, max_seconds=0.5).model_copy(
        update={
            "init_from": str(out / "weights.safetensors"),
            "optim": SMOKE.optim.model_copy(update={"rate": 1e-6}),
        }
    )
    again = fit(config, stores, tmp_path / "again")
    assert again.seconds < 5
    mean = torch.from_numpy(PairStore.open(stores / "train.zarr").load().curves.mean(0))
    torch.testing.assert_close(again.model.get_buffer("mean_curves"), mean)
    assert again.validation["sagittal_mae_mm"] == pytest.approx(
        outcome.validation["sagittal_mae_mm"], rel=0.1
    )


def test_the_command_trains(stores, tmp_path):
    words = ["regressor", "--data", stores / "train.zarr", "--val", stores / "val.zarr"]
    words += ["--out", tmp_path / "r", "--config", "smoke.yaml", "--max-minutes", "0.01"]
    words += ["--batch", "4", "--rate", "0.001", "--precision", "bf16", "--accelerator", "cpu"]
    result = CliRunner().invoke(train_app, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "r" / "weights.safetensors").is_file()
    config = RegressorConfig.load(tmp_path / "r" / "config.yaml")
    assert (config.loop.batch, config.optim.rate) == (4, 0.001)
    device = json.loads((tmp_path / "r" / "run.json").read_text())["device"]
    assert (device["type"], device["precision"], device["compile"]) == ("cpu", "bf16", False)


def test_mistakes_are_told(trained, stores, tmp_path):
    out, _ = trained
    with pytest.raises(ConfigError, match="new folder"):
        fit(SMOKE, stores, out)
    with pytest.raises(ConfigError, match="no checkpoint"):
        fit(SMOKE, stores, tmp_path / "none", resume=True)
    with pytest.raises(ConfigError, match="no people to train on"):
        train_regressor(SMOKE, data=[], validation=stores / "val.zarr", out=tmp_path / "none")
    with pytest.raises(ConfigError, match="a store and simulated people"):
        fit(SMOKE.override({"simulated": {}}), stores, tmp_path / "none")
    with pytest.raises(ConfigError, match="at least one batch of 161"):
        fit(shorter(batch=161), stores, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    other = SMOKE.model_copy(
        update={
            "init_from": str(out / "weights.safetensors"),
            "network": SMOKE.network.model_copy(update={"width": 16}),
        }
    )
    with pytest.raises(ConfigError, match="another network"):
        fit(other, stores, tmp_path / "other")


def test_people_of_training_are_refused_as_those_of_validation(trained, stores, tmp_path):
    out, _ = trained
    whole = [stores / "train.zarr", stores / "val.zarr"]
    with pytest.raises(ConfigError, match="24 people who are both in training and validation"):
        train_regressor(SMOKE, data=whole, validation=stores / "val.zarr", out=tmp_path / "run")
    later = SMOKE.model_copy(update={"init_from": str(out / "weights.safetensors")})
    with pytest.raises(ConfigError, match="160 people who are both in training and validation"):
        train_regressor(
            later, data=[stores / "test.zarr"], validation=stores / "train.zarr", out=tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_people_of_training_cannot_calibrate_or_test_and_the_segmenter_that_ships_can_be_named(
    trained, stores, tmp_path
):
    out, _ = trained
    whole = Trained.from_runs(out, shipped(PredictionCard))
    assert whole.weights["segmenter"] == shipped(PredictionCard) / "segmenter.safetensors"
    assert whole.networks["segmenter"] == load_bundle(PredictionCard).card.networks["segmenter"]
    where = ["--regressor", out, "--segmenter", "default", "--out", tmp_path / "bundle"]
    people = {"calibration": stores / "calibration.zarr", "test": stores / "test.zarr"}
    for name in people:
        stores_of = people | {name: stores / "train.zarr"}
        words = [word for kind, path in stores_of.items() for word in (f"--{kind}", path)]
        result = CliRunner().invoke(train_app, ["bundle", *map(str, [*where, *words])])
        assert f"people who are both in training and {name}" in str(result.exception)
    assert not (tmp_path / "bundle").exists()


def test_terms_of_simulated_people_are_those_of_the_package():
    terms = terms_of(hash_people(np.array([10**8, 10**8 + 1])))
    assert terms["licence"] == "Apache-2.0"
    assert "simulated people only" in terms["limits"][0]
    assert terms_of(hash_people(np.array([1234567])), "CC0")["licence"] == "CC0"


def test_real_people_whose_hashes_were_left_out_cannot_be_trained_on_further(tmp_path):
    (tmp_path / "card.json").write_text('{"training": {"details": {"real_people": 3}}}')
    with pytest.raises(ConfigError, match="real people, without"):
        people_beside(tmp_path)


def test_conformal_factors_cover_what_they_promise():
    rng = np.random.default_rng(0)
    draw = rng.laplace(size=(2000, 6, 209)) * np.array([1, 2, 3, 1, 2, 3])[:, None]
    factors = conformal_factors(draw[:1000])
    covered = (np.abs(draw[1000:]) <= factors).mean((0, 2))
    assert covered == pytest.approx(np.full(6, 0.9), abs=0.01)
    assert factors[2].mean() == pytest.approx(3 * np.log(10), rel=0.03)


def test_modes_hold_the_variance_of_residuals():
    rng = np.random.default_rng(0)
    wave = np.sin(np.linspace(0, 3, 209))
    residual = rng.normal(size=(500, 1, 1)) * np.broadcast_to(2 * wave, (6, 209))
    modes = residual_modes(residual, 2)
    assert np.abs(modes[0]).max() == pytest.approx(2 * wave.max(), rel=0.05)
    assert np.abs(modes[1]).max() < 0.1


def test_shift_sees_what_is_far():
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(4, 12))
    shift = shift_reference(rng.normal(size=(800, 4)) @ basis, 4)
    whitening, mean = np.array(shift.whitening), np.array(shift.mean)
    near = np.linalg.norm((rng.normal(size=(500, 4)) @ basis - mean) @ whitening, axis=1)
    far = np.linalg.norm((6 * rng.normal(size=(500, 4)) @ basis - mean) @ whitening, axis=1)
    assert (near < shift.quantiles["0.99"]).mean() == pytest.approx(0.99, abs=0.015)
    assert (far > shift.quantiles["0.99"]).mean() > 0.7


def test_gains_are_those_of_what_was_read():
    rng = np.random.default_rng(0)
    z = np.linspace(-1, 1, 209)
    inclination, shape = rng.normal(size=(2, 400, 1))
    mean = np.tile(np.sin(z), (6, 1)) * np.arange(6)[:, None]
    true = np.tile(mean, (400, 1, 1))
    true[:, 4] += 9 * inclination * z + 5 * shape * np.cos(3 * z)
    given = np.tile(mean, (400, 1, 1))  # half of the inclination is noise, the shape is twice too large
    given[:, 4] += 9 * (inclination + rng.normal(size=(400, 1))) * z + 10 * shape * np.cos(3 * z)
    found = fit_gains(true[None], given[None], mean)
    assert [gain.value for gain in found] == pytest.approx([0.5, 0.5], abs=0.06)
    assert found[0].low < 0.5 < found[0].high
    assert found[0].high - found[0].low == pytest.approx(4 * np.sqrt(0.5 / (400 * 2)), rel=0.4)
    assert found[1].high - found[1].low < 0.02
    both = fit_gains(np.tile(true, (2, 1, 1, 1)), np.tile(given, (2, 1, 1, 1)), mean)
    assert both == pytest.approx(found)  # two images of a person are one person
    halved = fit_gains(true[None], mean + 0.5 * (true[None] - mean), mean)
    assert [gain.value for gain in halved] == pytest.approx([2.0, 2.0])  # no ceiling
    assert fit_gains(true[None], 2 * mean - true[None], mean)[0].value == 0


def test_shrinking_keeps_coronal_curves_thickness_and_the_mean():
    mean = np.random.default_rng(1).normal(size=(6, 209))
    mean[3:] -= mean[4].mean()
    curves = torch.from_numpy(mean).float()[None].repeat(3, 1, 1)
    z = torch.linspace(-1, 1, 209)
    curves[1, 3:] += 4 * z
    curves[2, 3:] += torch.cos(3.1416 * z) - torch.cos(3.1416 * z).mean()

    class Fixed(torch.nn.Module):
        def forward(self, image):
            return Prediction(curves, curves, curves)

    out = Shrunk(Fixed(), mean, Gains(0.25, 0.5))(torch.zeros(1)).curves
    torch.testing.assert_close(out[0], curves[0])
    torch.testing.assert_close(out[:, :3], curves[:, :3])
    torch.testing.assert_close(out[1, 3:], curves[0, 3:] + z, atol=1e-4, rtol=0)
    torch.testing.assert_close(out[2, 3:], (curves[0, 3:] + curves[2, 3:]) / 2, atol=1e-4, rtol=0)


def test_too_few_people_to_calibrate_on(trained, stores):
    pairs = PairStore.open(stores / "val.zarr").load()
    with pytest.raises(ConfigError, match="at least 48"):
        calibrate(load_regressor(trained[0])[0], pairs, source="")


def test_the_posterior_head_goes_on_from_the_other_one_to_a_bundle(trained, stores, tmp_path):
    start = str(trained[0] / "weights.safetensors")
    config = shorter(steps=8).override({"network": {"head": "posterior", "modes": 4}, "init_from": start})
    fit(config, stores, tmp_path / "run")
    assert "without posterior.modes" in json.loads((tmp_path / "run" / "run.json").read_text())["init_from"]
    logged = {r["name"] for r in read_rows(tmp_path / "run" / "log.csv")}
    assert "posterior" in logged
    plan = BundlePlan("p", "1", stores / "calibration.zarr", stores / "test.zarr", iou_step_mm=None)
    first = make_bundle(Trained.from_runs(tmp_path / "run", shipped(PredictionCard)), plan, tmp_path / "b")
    again = make_bundle(Trained.from_bundle(tmp_path / "b"), plan, tmp_path / "again")
    assert first.networks["regressor"].settings["head"] == "posterior"
    assert (first.calibration, first.metrics) == (again.calibration, again.metrics)
    assert 70 < {m.name: m.value for m in first.metrics}["sagittal_coverage90_percent"] <= 100


def test_a_bundle_holds_what_the_run_learnt(trained, stores, tmp_path):
    out, _ = trained
    make_scans(tmp_path / "scans.zarr", 4, 1, first_eid=500_000)
    scans, others = tmp_path / "scans.zarr", make_scans(tmp_path / "others.zarr", 4, 1, first_eid=100)
    config = SegmenterConfig.load("segmenter_smoke.yaml")
    config = config.model_copy(update={"loop": config.loop.model_copy(update={"steps": 2})})
    train_segmenter(config, data=[scans], validation=others, out=tmp_path / "segmenter")
    plan = BundlePlan(
        "painted",
        "1",
        calibration=stores / "calibration.zarr",
        test=stores / "test.zarr",
        baselines=(stores / "train.zarr",),
        iou_step_mm=None,
    )
    runs = out, tmp_path / "segmenter"
    card = make_bundle(Trained.from_runs(*runs), plan, tmp_path / "bundle")
    bundle = load_bundle(PredictionCard, tmp_path / "bundle")
    assert bundle.card == card
    assert (tmp_path / "bundle" / "card.json").stat().st_size < 300_000
    metrics = {m.name: m for m in card.metrics}
    assert metrics["sagittal_mae_mm"].spines == 30
    assert metrics["sagittal_mae_mm"].baselines.keys() >= {"mean curve", "ridge on image"}
    assert 70 < metrics["sagittal_coverage90_percent"].value <= 100
    assert "painted" in card.calibration.source
    assert card.training.people == 160
    assert "164 real and 0 simulated people" in card.limits[0]
    assert not any("simulated people only" in limit for limit in card.limits)
    assert card.licence != "Apache-2.0"
    assert card.training.details["real_people"] == 164  # and four of the segmenter
    assert bundle.people == join_people(*((r / "people.bin").read_bytes() for r in runs))
    seen = ["--bundle", str(tmp_path / "bundle"), "--test", str(stores / "train.zarr"), "--limit", "5"]
    result = CliRunner().invoke(evaluate_app, ["model", *seen])
    assert "5 people who are both in training and test" in str(result.exception)

    test = PairStore.open(stores / "test.zarr").load()
    predicted = run_regressor(bundle.network("regressor"), test.image)
    network = load_regressor(out)[0]
    gains = Gains(*(float(card.training.details[f"gain_{part}"]) for part in Gains._fields))
    assert all(g >= 0 for g in gains)
    shrunk = Shrunk(network, network.get_buffer("mean_curves").numpy(), gains)
    curves, _, _ = predict_pairs(shrunk, test.image)
    np.testing.assert_allclose(predicted.curves, curves, atol=5e-3)
    assert Calibrator(card.calibration).missing() == []

    where = ["--bundle", str(tmp_path / "bundle"), "--test", str(stores / "test.zarr"), "--iou-step-mm", "0"]
    result = CliRunner().invoke(evaluate_app, ["model", *where, "--out", str(tmp_path / "table.json")])
    assert result.exit_code == 0, result.output
    assert "sagittal_mae_mm" in result.output
    table = {row["name"]: row["model"]["value"] for row in json.loads((tmp_path / "table.json").read_text())}
    assert table["sagittal_mae_mm"] == pytest.approx(metrics["sagittal_mae_mm"].value, abs=1e-3)

    shared = BundlePlan("x", "1", stores / "test.zarr", stores / "test.zarr")
    with pytest.raises(ConfigError, match="at least 48"):
        make_bundle(Trained.from_bundle(tmp_path / "bundle"), shared, tmp_path / "other")

    again = ["--bundle", str(tmp_path / "bundle"), "--version", "2", "--out", str(tmp_path / "again")]
    people = ["--calibration", str(stores / "calibration.zarr"), "--test", str(stores / "test.zarr")]
    done = CliRunner().invoke(train_app, ["recalibrate", *again, *people])
    assert done.exit_code == 0, done.output
    second = load_bundle(PredictionCard, tmp_path / "again")
    assert (second.card.name, second.card.version) == ("painted", "2")
    assert second.card.training == card.training  # the same people: the same gains
    assert second.card.calibration == card.calibration
    for kind in ("regressor", "segmenter"):
        assert second.card.files[f"{kind}.safetensors"] == card.files[f"{kind}.safetensors"]
    (tmp_path / "again" / "segmenter.safetensors").unlink()
    with pytest.raises(BundleError):
        Trained.from_bundle(tmp_path / "again")
