"""hw4 submit."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaggle_hw4.cli.options import AsJson, Root, choice
from kaggle_hw4.cli.output import percent, say, show, visible
from kaggle_hw4.competition import NO_EDITION
from kaggle_hw4.errors import BoardError, UsageError
from kaggle_hw4.progress import waiting
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.kaggle.forecast import Forecast
    from kaggle_hw4.stages.submit import SubmitResult

BOARD_NAMES = {"local": "the local board", "kaggle": "Kaggle's board"}


def add_to(app: typer.Typer) -> None:
    app.command("submit")(submit_command)


def forecast_line(forecast: "Forecast | None", is_edition: bool = True) -> str:
    """One sentence on the public score to expect, or why there is no forecast."""
    if not is_edition:
        return f"forecast: none, {NO_EDITION}"
    if forecast is None:
        return "forecast: none before three scored submissions that were validated like this one"
    interval = f"{forecast.low:.3f}–{forecast.high:.3f}, 95 %"
    return (
        f"forecast: public {forecast.public:.3f} ({interval}), from validation by {forecast.kind} "
        f"and {forecast.based_on}; "
        f"chance to pass {forecast.goal} ({forecast.goal_score:.5f}): {forecast.chance:.0%}"
    )


def submit_command(
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Such as Boss_V1; else the latest one.")
    ] = None,
    to: Annotated[
        str,
        choice(
            "kaggle", "web", "local", text="Where to; web: upload it by hand, local: send nothing."
        ),
    ] = "kaggle",
    truth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Id,Category of the test set, to score on locally."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the score.")
    ] = 600.0,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Check a submission and send it to Kaggle.

    Shows the forecast and today's quota first and asks; then uploads, makes sure that Kaggle has
    got it, and waits for the score.

    Example: hw4 submit Strong+Boss_V1 --yes
    """
    from kaggle_hw4.stages.submit import send, submit

    place = Workspace.at(workspace)
    if truth is not None and to != "local":
        raise UsageError("--truth is for --to local: Kaggle has a truth of its own")
    if to == "kaggle":
        with _or_by_hand(), waiting() as status:
            outcome = send(place, version, lambda known: _ask(known, yes), status, wait)
    else:
        outcome = submit(place, version, to, truth)
        _say_known(outcome)
    show(outcome, as_json, lambda: submitted(outcome), after(outcome))


@contextmanager
def _or_by_hand() -> Iterator[None]:
    """Name the way without Kaggle's client where it is missing, or knows no user."""
    from kaggle_hw4.kaggle.client import INSTALL, SIGN_IN

    try:
        yield
    except BoardError as error:
        if error.then not in (INSTALL, SIGN_IN):
            raise
        by_hand = "or upload the file yourself: `hw4 submit --to web` says where"
        raise BoardError(error.what, f"{error.then}; {by_hand}") from error


def _say_known(outcome: "SubmitResult") -> None:
    """Warnings and forecast, on stderr."""
    for warning in outcome.warnings:
        say(f"warning: {warning}")
    say(forecast_line(outcome.forecast, outcome.edition is not None))


def _ask(outcome: "SubmitResult", yes: bool) -> bool:
    """Show what would be sent and the quota; ask on the terminal unless `yes` is given."""
    _say_known(outcome)
    if quota := outcome.quota:
        say(f"quota: {quota.today} sent today, {quota.left} left")
    if yes:
        return True
    if not sys.stdin.isatty():
        what = "hw4 submit asks before it sends, and there is no terminal to answer on"
        raise UsageError(what, "give --yes")
    return typer.confirm(visible(f"send {outcome.path} to Kaggle?"), err=True)


def submitted(outcome: "SubmitResult") -> str:
    """One sentence on what became of a submission."""
    version, state = outcome.version, outcome.status
    if outcome.page:
        return f"{version} is valid: upload {outcome.path} at {outcome.page}"
    if state == "not sent":
        return f"{version} was not sent"
    if state == "pending":
        return f"{version} has arrived and waits for its score"
    if outcome.board is None:
        why = f"; {NO_EDITION}, so there is no page to upload it" if outcome.to == "web" else ""
        return f"{version} is valid{why or '; nothing was sent'}"
    scores = {"public": outcome.public, "private": outcome.private}
    shown = (f"{half} {percent(score)}" for half, score in scores.items() if score is not None)
    return f"{version} scored {', '.join(shown)} on {BOARD_NAMES[outcome.board]}"


def after(outcome: "SubmitResult") -> str:
    """The next command; none where Kaggle would refuse the submission."""
    if outcome.page:
        return f"hw4 leaderboard record {outcome.version} --public SCORE"
    if outcome.status == "pending":
        return "hw4 leaderboard sync"
    if outcome.board is None:
        return f"hw4 submit {outcome.version}" if outcome.edition else ""
    return "hw4 leaderboard show"
