"""The whole study, step by step."""

from pathlib import Path

from spinelift.study.people import read_traits
from spinelift.study.report import write_report
from spinelift.study.steps import Log, Plan, Study
from spinelift.study.tracking import track


def run_study(plan: Plan, *, people: Path | None = None, log: Log) -> list[Path]:
    """Run a study, or go on with it; returns the files of the report, and MLflow's folder.

    ``people`` says what is known of the people (``read_traits``). What earlier calls did is not done again;
    the report is always written anew. The test people are used after everything else.
    """
    read_traits(people)
    study = Study.begin(plan)
    study.write_pairs(log)
    study.train(log)
    best = study.measure_held_out(log)
    touched = study.measure_test(best, log)
    log("writing the report")
    tracked = track(study)
    return [*write_report(study, best, touched, people), *([tracked] if tracked else [])]
