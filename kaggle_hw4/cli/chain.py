"""hw4 run: a whole pipeline."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.ensemble import ensemble_json
from kaggle_hw4.cli.estimate import show_estimate
from kaggle_hw4.cli.jobs import showing
from kaggle_hw4.cli.layout import Prose
from kaggle_hw4.cli.options import (
    AsJson,
    Device,
    DryRun,
    Jobs,
    On,
    Precision,
    Root,
    SlurmOptions,
    StopAfter,
    TimeLimit,
    stopping,
)
from kaggle_hw4.cli.output import page, percent, say, show
from kaggle_hw4.cli.report import try_report
from kaggle_hw4.cli.submissions import after, submitted
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.execution.placement import Placement
    from kaggle_hw4.pipeline import Pipeline, PipelineResult
    from kaggle_hw4.stages.train import TimeGiven


def add_to(app: typer.Typer) -> None:
    app.command("run")(run_command)


def run_command(
    pipeline: Annotated[str, typer.Argument(help="A name in pipelines, or a .toml file.")],
    time_limit: TimeLimit = None,
    stop_after: StopAfter = None,
    dry_run: DryRun = False,
    on: On = None,
    jobs: Jobs = None,
    slurm: SlurmOptions = None,
    device: Device = "auto",
    precision: Precision = "auto",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Run what is missing of a whole pipeline.

    With a time limit, steps and networks are chosen so that all is done in it, report included.

    Example: hw4 run pipelines/demo.toml
    """
    from kaggle_hw4.execution.placement import find_placement
    from kaggle_hw4.pipeline import read_pipeline
    from kaggle_hw4.stages.train import time_given

    given, place = time_given(time_limit), Workspace.at(workspace)
    placement = find_placement(on, jobs, slurm)
    plan = read_pipeline(place, pipeline)
    if dry_run:
        _estimate(place, plan, given, placement, device, precision, as_json)
        return
    with stopping(stop_after):
        _run(place, plan, given, placement, device, precision, as_json)


def _estimate(
    place: Workspace,
    plan: "Pipeline",
    given: "TimeGiven | None",
    placement: "Placement | None",
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    from kaggle_hw4.pipeline import made_folds, runs_asked

    asked = runs_asked(place, plan, made_folds(place, plan), device, precision)
    show_estimate(asked, _with_report(place, plan, given), placement, as_json)


def _with_report(
    place: Workspace, plan: "Pipeline", given: "TimeGiven | None"
) -> "TimeGiven | None":
    """The same, of which some is kept for what follows the training."""
    from kaggle_hw4.pipeline import seconds_after
    from kaggle_hw4.stages.split import corpus_of

    return given and given.keeping(seconds_after(corpus_of(place), plan))


def _run(
    place: Workspace,
    plan: "Pipeline",
    given: "TimeGiven | None",
    placement: "Placement | None",
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    from kaggle_hw4.pipeline import prepare_data, run_pipeline

    def say_stage(stage: str, result: str) -> None:
        say(f"{stage:>9}  {result}")

    with bars("data") as bar:
        folds = prepare_data(place, plan, say_stage, bar)
    given = _with_report(place, plan, given)
    with showing(placement, "train") as (monitor, watch):
        result = run_pipeline(
            place, plan, folds, device, precision, monitor, say_stage, given, placement, watch
        )
    path = place.shown(result.path)
    report = try_report(place)
    value = {
        **ensemble_json(result.ensemble),
        "path": path,
        "folds": result.folds,
        "score": result.score,
        "report": report,
    }
    if report:
        say_stage("report", place.shown(report))
    show(value, as_json, lambda: _finished(result, path), after(result.score))


def _finished(result: "PipelineResult", path: str) -> Any:
    """Where the submission is, what validation estimates and what it scored."""
    cv = result.ensemble.created.cv[0]
    interval = f"{cv.low:.3f}–{cv.high:.3f} of {cv.n:,} utterances"
    k = result.folds
    lines = (
        f"submission  {path}",
        f"validation  {percent(cv.accuracy)} out of fold by {cv.kind} ({interval}), "
        f"by models trained on {k - 1} of {k} folds; all of them predict the test",
        f"test        {submitted(result.score)}",
    )
    return page(*(Prose(line, hang=12) for line in lines))
