"""hw4 run: a whole pipeline."""

from typing import Annotated

import typer

from kaggle_hw4.cli.board import after, submitted
from kaggle_hw4.cli.options import AsJson, Device, Root
from kaggle_hw4.cli.output import bars, live, say, show
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
    plan = read_pipeline(place.pipeline(pipeline))

    def tell(stage: str, what: str) -> None:
        say(f"{stage:>9}  {what}")

    with bars() as bar:
        folds = prepare(place, plan, tell, bar)
    with live() as monitor:
        value = run_pipeline(place, plan, folds, device, monitor, tell)
    show(value, as_json, lambda: submitted(value["score"]), after(value["score"]))
