"""``spinelift study``: from a cohort store to the paper's tables."""

from pathlib import Path
from typing import Annotated

import typer

from spinelift.cli.options import require_extra

app = typer.Typer(add_completion=False)


@app.command()
def study(
    store: Annotated[Path, typer.Argument(help="A store made by `cohort build`.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the study; an existing one is continued.")
    ],
    config: Annotated[str, typer.Option(help="YAML file, or the name of a packaged one.")] = "study.yaml",
    people: Annotated[
        Path | None,
        typer.Option(help="CSV with eid and sex, age_years, height_mm; or truth/ of simulated people."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Folder truth/ of simulated people: test against true curves too.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Pre-trained weights of ResNet50.")] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="No pre-trained weights.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of a training.")] = None,
) -> None:
    """Train networks in five folds, measure them beside baselines, test once, and write the report.

    Resumable: stop it at any time and run the same command again.

    [bold]Example[/bold]: spinelift study store -o study --config study.yaml
    """
    require_extra("train")
    require_extra("cohort")
    from spinelift.study.config import StudyConfig
    from spinelift.study.run import run_study
    from spinelift.study.steps import Plan

    plan = Plan(store, out, StudyConfig.load(config), truth, threads, weights, from_scratch)
    for path in run_study(plan, people=people, log=lambda text: typer.echo(text, err=True)):
        typer.echo(path)
