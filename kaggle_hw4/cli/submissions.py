"""hw4 ensemble, compare, submit."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, Root
from kaggle_hw4.cli.output import percent, points, say, show, table
from kaggle_hw4.competition import NO_EDITION
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import waiting
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.kaggle.forecast import Forecast
    from kaggle_hw4.stages.submit import Outcome


def add_to(app: typer.Typer) -> None:
    for command in (ensemble, compare):
        app.command()(command)
    app.command("submit")(submit_command)


def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="Runs, or folders of runs.")],
    label: Annotated[str | None, typer.Option(help="Else the variants, as Strong+Boss.")] = None,
    split: Annotated[str | None, typer.Option(help="Only runs of this fold table.")] = None,
    method: Annotated[
        str,
        typer.Option(help="auto, uniform, greedy, log-linear, vote or probabilities."),
    ] = "auto",
    counts: Annotated[
        Path | None, typer.Option(help="speaker,count of the test set, if truly known.")
    ] = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Blend runs into a new, versioned submission.

    Each member's logits are calibrated on its own out-of-fold rows, then log-probabilities are
    averaged; fitted weights are used only where nested folds say that they beat uniform by more
    than one standard error.

    Example: hw4 ensemble runs/*
    """
    from kaggle_hw4.stages import ensemble as stage

    value = stage.ensemble(Workspace.at(workspace), runs, label, split, method, counts)
    for name, reason in value["left_out"].items():
        say(f"left out: {name} {reason}")
    if not value["new"]:
        say(f"{value['version']} was made of just these runs already")
    show(value, as_json, lambda: _blend(value), f"hw4 submit {value['version']}")


def _blend(value: dict[str, Any]) -> Any:
    """Members, what was compared, what was chosen, who disagrees with whom, the forecast."""
    from rich.console import Group

    members, best = value["members"], max(m["oof"]["accuracy"] for m in value["members"])
    remark = {best: "best single"}
    singles = [_accuracy(m["oof"], remark.get(m["oof"]["accuracy"], "")) for m in members]
    rows = [
        (str(k), m["name"], str(len(m["folds"])), f"{m['temperature']:.2f}", f"{w:.2f}", *found)
        for k, (m, w, found) in enumerate(zip(members, value["weights"], singles, strict=True), 1)
    ]
    if len(members) > 1:
        for name, found in value["candidates"].items():
            chosen = "chosen" if name == value["method"] else ""
            rows.append(("", name, "", "", "", *_accuracy(found, chosen)))
    cv = value["cv"][0]
    columns = ("#", "member", "folds>", "T>", "weight>", "out of fold>", "s.e.>", "95 %", "")
    title = f"{value['version']}: folds by {cv['kind']}, {cv['n']:,} utterances"
    parts = [table(columns, rows, title)]
    if len(members) > 1:
        parts += [_differences(value), _disagreement(value)]
    parts += [f"{one['kind']}: {percent(one['accuracy'])}" for one in value["cv"][1:]]
    return Group(*parts, forecast_line(value["forecast"]))


def _differences(value: dict[str, Any]) -> Any:
    found = {f"{value['method']} less {k}": v for k, v in value["differences"].items()}
    return _paired_table("difference", found)


def _paired_table(heading: str, found: dict[str, dict[str, float]]) -> Any:
    columns = (heading, "points>", "95 %, by speaker", "won, lost", "p (McNemar)>", "")
    return table(columns, [(name, *_paired(one)) for name, one in found.items()])


def _disagreement(value: dict[str, Any]) -> Any:
    """Percent of the rows; members by their number."""
    rows = [
        (str(k), *("" if i == k - 1 else f"{100 * share:.0f}" for i, share in enumerate(shares)))
        for k, shares in enumerate(value["disagreement"], 1)
    ]
    numbers = (f"{k}>" for k in range(1, len(rows) + 1))
    return table(("#", *numbers), rows, "Answered differently, % of the utterances")


def _accuracy(found: dict[str, float], remark: str = "") -> tuple[str, ...]:
    interval = f"{found['low']:.3f}–{found['high']:.3f}"
    return percent(found["accuracy"]), f"{found['standard_error']:.4f}", interval, remark


def _paired(found: dict[str, float]) -> tuple[str, ...]:
    interval = f"{points(found['low'])} to {points(found['high'])}"
    clear = "" if found["low"] > 0 or found["high"] < 0 else "may be noise"
    return (
        points(found["difference"]),
        interval,
        f"{found['won']}, {found['lost']}",
        f"{found['p']:.2g}",
        clear,
    )


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


def compare(
    one: Annotated[Path, typer.Argument(help="A run, or a folder of runs.")],
    other: Annotated[Path, typer.Argument(help="What it is compared with.")],
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Say whether two runs differ by more than noise.

    On the out-of-fold rows that both have; a folder of several runs is blended uniformly.

    Example: hw4 compare runs/strong-1a2b3c4d runs/boss-5e6f7a8b
    """
    from kaggle_hw4.stages import compare as stage

    value = stage.compare(Workspace.at(workspace), one, other)
    show(value, as_json, lambda: _compared(value), "hw4 ensemble runs/*")


def _compared(value: dict[str, Any]) -> Any:
    from rich.console import Group

    rows = [(r["path"], len(r["members"]), *_accuracy(r)) for r in value["runs"]]
    title = f"Out of fold by {value['by']}, {value['runs'][0]['n']:,} utterances"
    columns = ("runs", "members>", "accuracy>", "s.e.>", "95 %", "")
    difference = {"first less second": value["first_less_second"]}
    return Group(table(columns, rows, title), _paired_table("", difference))


def submit_command(
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
    from kaggle_hw4.stages.submit import send, submit

    place = Workspace.at(workspace)
    if truth is not None and to != "local":
        raise UsageError("--truth is for --to local: Kaggle has a truth of its own")
    if to == "kaggle":
        with waiting() as status:
            outcome = send(place, version, lambda known: _ask(known, yes), status, wait)
    else:
        outcome = submit(place, version, to, truth)
        _say_known(outcome)
    show(outcome, as_json, lambda: submitted(outcome), after(outcome))


def _say_known(outcome: "Outcome") -> None:
    """Warnings and forecast, on stderr."""
    for warning in outcome.warnings:
        say(f"warning: {warning}")
    say(forecast_line(outcome.forecast, outcome.edition is not None))


def _ask(outcome: "Outcome", yes: bool) -> bool:
    """Show what would be sent and the quota; ask on the terminal unless `yes` is given."""
    _say_known(outcome)
    if quota := outcome.quota:
        say(f"quota: {quota.today} sent today, {quota.left} left")
    if yes:
        return True
    if not sys.stdin.isatty():
        what = "hw4 submit asks before it sends, and there is no terminal to answer on"
        raise UsageError(what, "give --yes")
    return typer.confirm(f"send {outcome.path} to Kaggle?", err=True)


def submitted(outcome: "Outcome") -> str:
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
    board = {"local": "the local board", "kaggle": "Kaggle's board"}[outcome.board]
    return f"{version} scored {', '.join(shown)} on {board}"


def after(outcome: "Outcome") -> str:
    """The next command; none where Kaggle would refuse the submission."""
    if outcome.page:
        return f"hw4 leaderboard record {outcome.version} --public SCORE"
    if outcome.status == "pending":
        return "hw4 leaderboard sync"
    if outcome.board is None:
        return f"hw4 submit {outcome.version}" if outcome.edition else ""
    return "hw4 leaderboard show"
