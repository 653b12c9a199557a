"""hw4 pseudo-label."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.options import (
    AsJson,
    Root,
    RunsOfVariants,
    SplitName,
    folders_of_runs,
)
from kaggle_hw4.cli.output import page, percent, plain, show, table
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.stages.pseudo_label import Labelled


def add_to(app: typer.Typer) -> None:
    app.command("pseudo-label")(pseudo_label_command)


def pseudo_label_command(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUNS",
            help="Runs, folders of runs, variants, or a submission's version.",
            show_default=False,
        ),
    ] = None,
    variants: RunsOfVariants = None,
    confidence: Annotated[
        float, typer.Option(metavar="P", help="Least probability of a label.")
    ] = 0.9,
    most: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most labels of a speaker; else its likely number."),
    ] = None,
    split: SplitName = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Label test utterances that an ensemble is sure of.

    All members have to agree, the calibrated blend has to be sure, and no speaker gets more labels
    than the test set is likely to have of it. A fold's labels are those of its own runs. A second
    round, by runs that were trained on pseudo-labels, needs the first one to have helped.

    Example: hw4 pseudo-label runs/*
    """
    from kaggle_hw4.stages.pseudo_label import LabelRequest, pseudo_label

    place = Workspace.at(workspace)
    folders = folders_of_runs(place, runs, variants, "hw4 pseudo-label runs/*")
    with bars("pseudo-label") as bar:
        labelled = pseudo_label(place, folders, LabelRequest(confidence, most, split), bar)
    name = labelled[0].path.parent.name
    value = [{"path": str(each.path), **plain(each.table)} for each in labelled]
    show(value, as_json, lambda: _render(labelled), f"hw4 train boss --pseudo-labels {name}")


def _render(labelled: "list[Labelled]") -> Any:
    tables = [each.table for each in labelled]
    rows = [
        (
            str(each.fold),
            percent(each.validation),
            f"{each.utterances:,}",
            f"{each.agreed:,}",
            f"{each.confident:,}",
            f"{len(each.labels):,}",
        )
        for each in tables
    ]
    columns = ("fold>", "members' accuracy>", "test set>", "agreed>", "sure>", "kept>")
    first = tables[0]
    about = f"round {first.round}, {len(first.members)} members, up to {first.most} of a speaker"
    return page(table(columns, rows, f"{labelled[0].path.parent.name}: {about}"))
