"""hw4 doctor."""

from typing import Annotated

import typer

from kaggle_hw4.cli.layout import Prose
from kaggle_hw4.cli.options import AsJson, Root
from kaggle_hw4.cli.output import page, say, show
from kaggle_hw4.errors import DataError
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    app.command("doctor")(doctor_command)


def doctor_command(
    pipeline: Annotated[
        str,
        typer.Option(metavar="NAME", help="The pipeline that memory and disk must be enough for."),
    ] = "kaggle",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Check software, machine, workspace and credentials.

    Each line is good, a warning or bad, with what to do. Exit code 4 where anything is bad.

    Example: hw4 doctor
    """
    with bars("doctor"):
        from kaggle_hw4.doctor import examine

        checks = examine(Workspace.at(workspace), pipeline)
    lines = (
        Prose(
            f"{check.state:<8} {check.topic:<8} {check.finding}"
            + (f"; {check.remedy}" if check.remedy else ""),
            hang=18,
        )
        for check in checks
    )
    show(checks, as_json, lambda: page(*lines))
    bad = sum(check.state == "bad" for check in checks)
    if bad:
        say(f"{bad} bad")
        raise typer.Exit(DataError.exit_code)
