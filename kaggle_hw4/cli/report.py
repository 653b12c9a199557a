"""hw4 report: everything in one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaggle_hw4.cli.hints import next_step
from kaggle_hw4.cli.options import AsJson, Root
from kaggle_hw4.cli.output import page, say, show
from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.report.write import ReportFile


# What to type where the page has nothing to show.
COMMANDS = {
    "hw4 train": "hw4 train boss --folds all",
    "hw4 tune": "hw4 tune boss --trials 50",
}
MADE = {"data", "models", "ensemble"}  # sections that the next step makes


def add_to(app: typer.Typer) -> None:
    app.command("report")(report_command)


def report_command(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="SUBJECT",
            help="A run, a version of a submission or a study; else the workspace.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file; else report.html in the workspace.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="postgresql://… where studies are on a server."),
    ] = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Write everything into one HTML page to look at.

    The board, why one model is better than another, what the best model gets wrong and attends to,
    the data, the ensemble, studies and cost. The page needs no network and changes nothing. Needs
    the extra: pip install 'kaggle_hw4[report]'

    Example: hw4 report
    """
    place = Workspace.at(workspace)
    with bars("report") as bar:
        from kaggle_hw4.report.write import write_report

        progress = bar("report")
        written = write_report(
            place, subject, out, commands=COMMANDS, progress=progress, storage=storage
        )
    then = "hw4 report" if subject else next_command(place, written)
    show(written, as_json, lambda: report_text(place, written), then)


def next_command(place: Workspace, written: "ReportFile") -> str:
    """What makes the first section that has nothing to show, in the order of the work."""
    return next_step(place) if MADE & {*written.absent} else "hw4 leaderboard show"


def report_text(place: Workspace, written: "ReportFile") -> object:
    """Where the report is, how large, and which sections have nothing to show yet."""
    lines = [f"{place.shown(written.path)}  {written.bytes / 1e6:.2f} MB"]
    if written.absent:
        lines.append(f"nothing to show yet: {', '.join(written.absent)} (the page says why)")
    return page(*lines)


def try_report(place: Workspace) -> Path | None:
    """Write the report at the end of a pipeline; where that fails, say why and carry on."""
    try:
        with bars("report") as bar:
            from kaggle_hw4.report.write import write_report

            return write_report(place, commands=COMMANDS, progress=bar("report")).path
    except (Hw4Error, OSError) as error:
        say(f"no report: {error}")
        return None
