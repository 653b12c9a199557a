"""hw4 run: a whole pipeline."""

from typing import Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, Device, Root
from kaggle_hw4.cli.output import percent, say, show
from kaggle_hw4.cli.submissions import after, submitted
from kaggle_hw4.progress import bars, live
from kaggle_hw4.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    app.command()(run)


def run(
    pipeline: Annotated[str, typer.Argument(help="A name in pipelines, or a .toml file.")],
    device: Device = "auto",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Run what is missing of a whole pipeline.

    Example: hw4 run pipelines/demo.toml
    """
    from kaggle_hw4.pipeline import prepare, read_pipeline, run_pipeline

    place = Workspace.at(workspace)
    plan = read_pipeline(place, pipeline)

    def tell(stage: str, what: str) -> None:
        say(f"{stage:>9}  {what}")

    with bars() as bar:
        folds = prepare(place, plan, tell, bar)
    with live() as monitor:
        value = run_pipeline(place, plan, folds, device, monitor, tell)
    show(value, as_json, lambda: _finished(value), after(value["score"]))


def _finished(value: dict[str, Any]) -> str:
    """Where the submission is, what validation promised and what became of it."""
    cv = value["cv"][0]
    interval = f"{cv['low']:.3f}–{cv['high']:.3f} of {cv['n']:,} utterances"
    k = value["folds"]
    return (
        f"submission  {value['path']}\n"
        f"validation  {percent(cv['accuracy'])} out of fold by {cv['kind']} ({interval}), "
        f"by models that heard {k - 1} of {k} folds; all of them predict the test\n"
        f"test        {submitted(value['score'])}"
    )
