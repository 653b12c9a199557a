"""hw4 submit."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, Root
from kaggle_hw4.cli.output import percent, say, show
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import waiting
from kaggle_hw4.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    app.command()(submit)


def forecast_line(found: dict[str, Any] | None) -> str:
    """One sentence on what the board will say."""
    if found is None:
        return "forecast: none before three scored submissions that were validated like this one"
    interval = f"{found['low']:.3f}–{found['high']:.3f}, 95 %"
    return (
        f"forecast: public {found['public']:.3f} ({interval}), from validation by {found['kind']} "
        f"and {found['based_on']}; "
        f"chance to pass {found['goal']} ({found['goal_score']:.5f}): {found['chance']:.0%}"
    )


def submit(
    version: Annotated[str | None, typer.Argument(help="Else the latest one.")] = None,
    to: Annotated[
        str, typer.Option(help="kaggle, web (upload by hand) or local (nothing is sent).")
    ] = "kaggle",
    truth: Annotated[
        Path | None, typer.Option(help="Id,Category of the test set, to score on locally.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the score.")] = 600.0,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Check a submission and send it to Kaggle.

    Shows the forecast and today's quota first and asks; then uploads, makes sure that Kaggle has
    got it, and waits for the score.

    Example: hw4 submit Strong+Boss_V1 --yes
    """
    from kaggle_hw4.stages import submit as stage

    place = Workspace.at(workspace)
    if to != "kaggle":
        value = stage.submit(place, version, to, truth)
        _say_before(value)
    else:
        if truth is not None:
            raise UsageError("--truth is for --to local: Kaggle has a truth of its own")
        with waiting() as tell:
            value = stage.send(place, version, lambda v: _ask(v, yes), tell, wait)
    show(value, as_json, lambda: submitted(value), after(value))


def _say_before(value: dict[str, Any]) -> None:
    for warning in value["warnings"]:
        say(f"warning: {warning}")
    say(forecast_line(value["forecast"]))


def _ask(value: dict[str, Any], yes: bool) -> bool:
    _say_before(value)
    quota = value["quota"]
    say(f"quota: {quota['today']} sent today, {quota['left']} left")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("hw4 submit asks before it sends, and here is nobody", "give --yes")
    return typer.confirm(f"send {value['path']} to Kaggle?", err=True)


def submitted(value: dict[str, Any]) -> str:
    """One sentence on what became of a submission."""
    if "page" in value:
        return f"{value['version']} is fit to be sent: upload {value['path']} at {value['page']}"
    if value.get("status") in ("pending", "not sent"):
        state = {"pending": "has arrived and waits for its score", "not sent": "was not sent"}
        return f"{value['version']} {state[value['status']]}"
    if "board" not in value:
        return f"{value['version']} is fit to be sent; nothing was"
    halves = ("public", "private")
    scores = [f"{h} {percent(value[h])}" for h in halves if value.get(h) is not None]
    board = {"local": "the local board", "kaggle": "Kaggle's board"}[value["board"]]
    return f"{value['version']} scored {', '.join(scores)} on {board}"


def after(value: dict[str, Any]) -> str:
    if "page" in value:
        return f"hw4 leaderboard record {value['version']} --public SCORE"
    if value.get("status") == "pending":
        return "hw4 leaderboard sync"
    if value.get("status") == "not sent" or "board" not in value:
        return f"hw4 submit {value['version']}"
    return "hw4 leaderboard show"
