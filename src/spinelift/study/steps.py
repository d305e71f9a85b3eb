"""Steps of a study. Each leaves files, and is passed over when they are there."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from spinelift.cohort.export import ABOUT, with_true_curves, write_stores
from spinelift.cohort.splits import FOLDS
from spinelift.config import flat
from spinelift.errors import ConfigError
from spinelift.evaluate.pairs import baseline_curves
from spinelift.files import whole_folder, write_json
from spinelift.geometry.arrays import Float32, Integers
from spinelift.learn.loop.checkpoint import CHECKPOINT
from spinelift.learn.loop.train import RECORD
from spinelift.learn.regressor.calibrate import conformal_factors
from spinelift.learn.regressor.config import RegressorConfig
from spinelift.learn.regressor.train import load_regressor, make_network, predict_pairs, train_regressor
from spinelift.store.memory import Pairs
from spinelift.store.rows import PairStore, load_pairs
from spinelift.study.config import NetworkEntry, StudyConfig
from spinelift.study.people import HELD_OUT, TEST, check_pairs, digest_of, read_pairs
from spinelift.study.scores import LEVELS, Scored, score_model

SETTINGS, TOUCHED, PAIRS, RUNS, SCORES = "settings.json", "test.json", "pairs", "runs", "scores"
TEST_TRUTH = "test, against true curves"
Log = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """A study of the cohort ``store``, in the folder ``out``.

    ``truth`` is the folder of the truth of simulated people. ``threads``, ``weights`` and ``from_scratch`` as
    in ``StudyConfig.training``.
    """

    store: Path
    out: Path
    config: StudyConfig
    truth: Path | None = None
    threads: int | None = None
    weights: Path | None = None
    from_scratch: bool = False


@dataclass(frozen=True)
class Study:
    """A study whose settings are checked and written: what its steps share."""

    plan: Plan
    training: list[RegressorConfig]
    pairs: pl.DataFrame

    @classmethod
    def begin(cls, plan: Plan) -> "Study":
        """Check everything before any work, and write the settings.

        A :class:`ConfigError` says that people are too few, that a network cannot be made or lacks its
        weights, or that the folder holds a study with other settings.
        """
        config = plan.config
        training = config.training(threads=plan.threads, weights=plan.weights, from_scratch=plan.from_scratch)
        pairs = read_pairs(plan.store)
        check_pairs(pairs, config.folds, training)
        if plan.truth is None and any(entry.curves == "truth" for entry in config.networks):
            raise ConfigError(
                found="a network that learns true curves, without a truth",
                expected="the folder truth/ of simulated people",
                do="Give --truth, or take the network out of the configuration.",
            )
        networks = {
            entry.name: c.model_dump(mode="json", exclude={"loop": {"threads"}})
            for entry, c in zip(config.networks, training, strict=True)
        }
        settings = {
            "study": config.model_dump(mode="json"), "training": networks, "cohort_sha256": digest_of(pairs),
            "truth": plan.truth is not None,
        }  # fmt: skip
        file = plan.out / SETTINGS
        if file.is_file():
            _refuse_other(json.loads(file.read_text(encoding="utf-8")), settings)
        else:
            for one in training:
                make_network(one.network, load=one.init_from is None)
            plan.out.mkdir(parents=True, exist_ok=True)
            write_json(file, settings)
        return cls(plan, training, pairs)

    def rows(self, split: str, fold: int | None = None) -> list[int]:
        """Rows of a split, or of one of its folds, in the cohort's store."""
        chosen = self.pairs.filter(pl.col("split") == split)
        if fold is not None:
            chosen = chosen.filter(pl.col("fold") == fold)
        return chosen["row"].to_list()

    def store_of(self, split: str, fold: int | None = None, *, curves: str = "pipeline") -> Path:
        """Store of the pairs of a split or fold, with curves of the pipeline or of the truth."""
        name = split if fold is None else f"{split}-fold{fold}"
        return self.plan.out / PAIRS / f"{name}{'' if curves == 'pipeline' else '-truth'}.zarr"

    def run_of(self, entry: NetworkEntry, fold: int) -> Path:
        """Folder of the training run of a network for a fold."""
        return self.plan.out / RUNS / entry.slug / f"fold{fold}"

    def scores_of(self, model: str, part: str, fold: int) -> Path:
        """File of the predictions of a model for a part of the people."""
        names = ("".join(c if c.isalnum() else " " for c in text).split() for text in (model, part))
        return self.plan.out / SCORES / "-".join(next(names)) / f"{'-'.join(next(names))}-fold{fold}.npz"

    def write_pairs(self, log: Log) -> None:
        """Write each fold of the training people, the validation and the test people as stores."""
        folder = self.plan.out / PAIRS
        if folder.is_dir():
            return
        log("writing the pairs of each fold")
        parts = [("train", fold) for fold in range(FOLDS)] + [("val", None), ("test", None)]
        kinds = ["pipeline"] + (["truth"] if self.plan.truth is not None else [])
        with whole_folder(folder) as new:
            new.mkdir(parents=True)
            for kind in kinds:
                stores = {new / self.store_of(*part, curves=kind).name: self.rows(*part) for part in parts}
                about = {path: {"cohort": ABOUT, "curves": kind} for path in stores}
                if kind == "truth" and self.plan.truth is not None:
                    write_stores(
                        self.plan.store, stores, about, with_true_curves(self.plan.store, self.plan.truth)
                    )
                else:
                    write_stores(self.plan.store, stores, about)

    def train(self, log: Log) -> None:
        """Train every network for every fold, on the other folds; a run that was cut short is resumed."""
        for fold in range(self.plan.config.folds):
            for entry, config in zip(self.plan.config.networks, self.training, strict=True):
                run = self.run_of(entry, fold)
                if (run / RECORD).is_file():
                    continue
                resume = (run / CHECKPOINT).is_file()
                if not resume:
                    shutil.rmtree(run, ignore_errors=True)
                log(f"training {entry.name}, fold {fold} held out")
                others = [self.store_of("train", f, curves=entry.curves) for f in range(FOLDS) if f != fold]
                held_out = self.store_of("val", curves=entry.curves)
                train_regressor(config, data=others, validation=held_out, out=run, resume=resume)

    def measure_held_out(self, log: Log) -> str:
        """Measure everything on the held-out folds; returns the network with the least coronal error.

        Intervals are calibrated on these people, so that they have none here.
        """
        errors: dict[str, float] = {}
        for entry in self.plan.config.networks:
            for fold in range(self.plan.config.folds):
                path = self.scores_of(entry.name, HELD_OUT, fold)
                if not path.is_file():
                    log(f"measuring {entry.name} on fold {fold}")
                    pairs, rows = self._load("train", fold)
                    curves, scale = self._predict(entry, fold, pairs)
                    residual = ((pairs.curves - curves) / scale).astype(np.float64)
                    fresh = np.stack([conformal_factors(residual, level) for level in LEVELS])
                    self._score(path, curves, pairs, rows, fold, fresh=fresh)
                error = Scored.load(path).metrics["coronal_mae_mm"].mean()
                errors[entry.name] = errors.get(entry.name, 0.0) + float(error)
        best = min(errors, key=errors.__getitem__)
        self._measure_baselines(HELD_OUT, best, log)
        return best

    def measure_test(self, best: str, log: Log) -> dict[str, Any]:
        """Measure everything on the test people, at the end; the record says when they were first used."""
        record = self.plan.out / TOUCHED
        pairs, rows = self._load("test")
        if not record.is_file():
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            people = len(np.unique(pairs.eid))
            write_json(record, {"first_used": now, "people": people, "pairs": len(pairs)})
        for entry in self.plan.config.networks:
            for fold in range(self.plan.config.folds):
                path = self.scores_of(entry.name, TEST, fold)
                if path.is_file():
                    continue
                log(f"testing {entry.name}, trained without fold {fold}")
                factors = Scored.load(self.scores_of(entry.name, HELD_OUT, fold)).factors
                curves, scale = self._predict(entry, fold, pairs)
                self._score(path, curves, pairs, rows, fold, scale=scale, factors=factors)
        self._measure_baselines(TEST, best, log)
        if self.plan.truth is not None:
            self._measure_against_truth(rows, log)
        document: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return document

    def _measure_baselines(self, part: str, best: str, log: Log) -> None:
        for fold in range(self.plan.config.folds):
            if all(self.scores_of(name, part, fold).is_file() for name in BASELINES):
                continue
            log(f"measuring the baselines: {part}, fitted without fold {fold}")
            train = load_pairs([self.store_of("train", f) for f in range(FOLDS) if f != fold])
            pairs, rows = self._load("train", fold) if part == HELD_OUT else self._load("test")
            predicted = Scored.load(self.scores_of(best, part, fold)).curves
            for name, curves in baseline_curves(train, pairs, predicted).items():
                self._score(self.scores_of(name, part, fold), curves, pairs, rows, fold)

    def _measure_against_truth(self, rows: Integers, log: Log) -> None:
        true = PairStore.open(self.store_of("test", curves="truth")).load()
        for entry in self.plan.config.networks:
            for fold in range(self.plan.config.folds):
                path = self.scores_of(entry.name, TEST_TRUTH, fold)
                if not path.is_file():
                    log(f"testing {entry.name} against true curves, trained without fold {fold}")
                    curves = Scored.load(self.scores_of(entry.name, TEST, fold)).curves
                    self._score(path, curves, true, rows, fold)

    def _load(self, split: str, fold: int | None = None) -> tuple[Pairs, Integers]:
        rows = np.array(self.rows(split, fold), np.int64)
        return PairStore.open(self.store_of(split, fold)).load(), rows

    def _predict(self, entry: NetworkEntry, fold: int, pairs: Pairs) -> tuple[Float32, Float32]:
        model, _ = load_regressor(self.run_of(entry, fold))
        curves, scale, _ = predict_pairs(model, pairs.image)
        return curves, scale

    def _score(
        self, path: Path, curves: Any, pairs: Pairs, rows: Integers, fold: int, **intervals: Any
    ) -> None:
        step = self.plan.config.iou_step_mm
        score_model(curves, pairs, rows, fold, iou_step_mm=step, **intervals).save(path)


BASELINES = (
    "mean curve", "shape model, true coronal curve", "shape model, predicted coronal curve", "ridge on image",
)  # fmt: skip


def _refuse_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise a :class:`ConfigError` that names the settings in which two studies differ."""
    before, now = flat(old), flat(json.loads(json.dumps(new)))
    changed = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    if changed:
        raise ConfigError(
            found=f"a study with other settings in the same folder ({', '.join(changed[:4])})",
            expected=f"the settings of its {SETTINGS}, and the same people",
            do="Give another --out, or the settings and the store that it was begun with.",
        )
