"""The training runs of a study in MLflow's format, in a local folder, where MLflow is installed."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from spinelift.config import flat
from spinelift.learn.loop.checkpoint import LOG, read_rows
from spinelift.study.people import TEST
from spinelift.study.scores import Scored
from spinelift.study.steps import Study

FOLDER = "mlruns"
_MOST = 1000
"""Largest number of metrics of one call."""


def track(study: Study) -> Path | None:
    """Write every training run with its settings, log and test figures; the folder, or None without MLflow.

    An earlier folder is replaced. Nothing leaves the machine.
    """
    if find_spec("mlflow") is None:
        return None
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # later versions want to be asked for it
    import mlflow

    folder = study.plan.out / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    client = mlflow.MlflowClient(tracking_uri=folder.resolve().as_uri())
    experiment = client.create_experiment("study")
    for entry, config in zip(study.plan.config.networks, study.training, strict=True):
        for fold in range(study.plan.config.folds):
            run = client.create_run(experiment, run_name=f"{entry.name}, fold {fold} held out").info.run_id
            for name, value in flat(config.model_dump(mode="json")).items():
                client.log_param(run, name, value)
            scored = Scored.load(study.scores_of(entry.name, TEST, fold))
            metrics = [
                mlflow.entities.Metric(
                    f"{row['split']}/{row['name']}", float(row["value"]), 0, int(row["step"])
                )
                for row in read_rows(study.run_of(entry, fold) / LOG)
            ]
            metrics += [
                mlflow.entities.Metric(f"test/{name}", float(values.mean()), 0, 0)
                for name, values in scored.metrics.items()
            ]
            for first in range(0, len(metrics), _MOST):
                client.log_batch(run, metrics=metrics[first : first + _MOST])
            client.set_terminated(run)
    return folder
