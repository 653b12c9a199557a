"""hw4 run: a whole pipeline."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.ensemble import ensemble_json
from kaggle_hw4.cli.layout import Prose
from kaggle_hw4.cli.options import AsJson, Device, Precision, Root, StopAfter, stopping
from kaggle_hw4.cli.output import page, percent, say, show
from kaggle_hw4.cli.report import try_report
from kaggle_hw4.cli.submissions import after, submitted
from kaggle_hw4.progress import bars, live
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.pipeline import PipelineResult


def add_to(app: typer.Typer) -> None:
    app.command("run")(run_command)


def run_command(
    pipeline: Annotated[str, typer.Argument(help="A name in pipelines, or a .toml file.")],
    stop_after: StopAfter = None,
    device: Device = "auto",
    precision: Precision = "auto",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Run what is missing of a whole pipeline.

    Example: hw4 run pipelines/demo.toml
    """
    with stopping(stop_after):
        _run(Workspace.at(workspace), pipeline, device, precision, as_json)


def _run(place: Workspace, pipeline: str, device: str, precision: str, as_json: bool) -> None:
    from kaggle_hw4.pipeline import prepare_data, read_pipeline, run_pipeline

    plan = read_pipeline(place, pipeline)

    def say_stage(stage: str, result: str) -> None:
        say(f"{stage:>9}  {result}")

    with bars("data") as bar:
        folds = prepare_data(place, plan, say_stage, bar)
    with live("train") as monitor:
        result = run_pipeline(place, plan, folds, device, precision, monitor, say_stage)
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
