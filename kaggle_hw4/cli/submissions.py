"""hw4 ensemble, compare, submit."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, Root
from kaggle_hw4.cli.output import percent, plain, points, say, show, table
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import waiting
from kaggle_hw4.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    app.command("ensemble")(ensemble_command)
    app.command("compare")(compare_command)
    app.command()(submit)


def ensemble_command(
    runs: Annotated[list[Path], typer.Argument(help="Runs, or folders of runs.")],
    label: Annotated[
        str | None, typer.Option(help="Default: the variants, as in Strong+Boss.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only runs of this fold table.")] = None,
    method: Annotated[
        str,
        typer.Option(help="auto, uniform, greedy, log-linear, vote or probabilities."),
    ] = "auto",
    counts: Annotated[
        Path | None,
        typer.Option(help="A table speaker,count of the test set, if exactly known."),
    ] = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Blend runs into a new, versioned submission.

    Each member's logits are calibrated on its out-of-fold utterances, then log-probabilities are
    averaged. Fitted weights are used only where cross-fitting over folds shows that they beat
    uniform weights by more than one standard error.

    Example: hw4 ensemble runs/*
    """
    from kaggle_hw4.stages.ensemble import Request, ensemble

    request = Request(label, split, method, counts)
    result = ensemble(Workspace.at(workspace), runs, request)
    values = plain(result)
    values = values.pop("created") | values
    for name, reason in result.left_out.items():
        say(f"left out: {name} {reason}")
    if not result.new:
        say(f"{values['version']} was made from exactly these runs already")
    show(
        values,
        as_json,
        lambda: _submission(values, result.forecast),
        f"hw4 submit {values['version']}",
    )


def _submission(values: dict[str, Any], forecast: Any) -> Any:
    """Members and candidates, differences, disagreement, other validations, the forecast."""
    from rich.console import Group

    validation, *others = values["cv"]
    rows = _member_rows(values)
    if len(values["members"]) > 1:
        rows += _candidate_rows(values)
    columns = ("#", "member", "folds>", "T>", "weight>", "out of fold>", "s.e.>", "95 %", "")
    title = f"{values['version']}: folds by {validation['kind']}, {validation['n']:,} utterances"
    parts = [table(columns, rows, title)]
    if len(values["members"]) > 1:
        parts += [_differences(values), _disagreement(values)]
    parts += [f"validation by {other['kind']}: {percent(other['accuracy'])}" for other in others]
    return Group(*parts, forecast_line(forecast))


def _member_rows(values: dict[str, Any]) -> list[tuple[str, ...]]:
    members = values["members"]
    best = max(member["oof"]["accuracy"] for member in members)
    return [
        (
            str(number),
            member["name"],
            str(len(member["folds"])),
            f"{member['temperature']:.2f}",
            f"{weight:.2f}",
            *_accuracy_cells(member["oof"]),
            "best single" if member["oof"]["accuracy"] == best else "",
        )
        for number, (member, weight) in enumerate(
            zip(members, values["weights"], strict=True), start=1
        )
    ]


def _candidate_rows(values: dict[str, Any]) -> list[tuple[str, ...]]:
    remark = {values["method"]: "chosen"}
    return [
        ("", name, "", "", "", *_accuracy_cells(accuracy), remark.get(name, ""))
        for name, accuracy in values["candidates"].items()
    ]


def _differences(values: dict[str, Any]) -> Any:
    method = values["method"]
    differences = {f"{method} minus {name}": d for name, d in values["differences"].items()}
    return _paired_table("difference", differences)


def _paired_table(heading: str, differences: dict[str, dict[str, Any]]) -> Any:
    columns = (heading, "points>", "95 %, by speaker", "won, lost", "p (McNemar)>", "")
    return table(columns, [(name, *_paired_cells(d)) for name, d in differences.items()])


def _disagreement(values: dict[str, Any]) -> Any:
    """Percent of the utterances; members by their number."""
    rows = [
        (str(k), *("" if i == k - 1 else f"{100 * share:.0f}" for i, share in enumerate(shares)))
        for k, shares in enumerate(values["disagreement"], 1)
    ]
    numbers = (f"{k}>" for k in range(1, len(rows) + 1))
    return table(("#", *numbers), rows, "Disagreement of two members, % of the utterances")


def _accuracy_cells(accuracy: dict[str, Any]) -> tuple[str, str, str]:
    interval = f"{accuracy['low']:.3f}–{accuracy['high']:.3f}"
    return percent(accuracy["accuracy"]), f"{accuracy['standard_error']:.4f}", interval


def _paired_cells(paired: dict[str, Any]) -> tuple[str, ...]:
    interval = f"{points(paired['low'])} to {points(paired['high'])}"
    significant = paired["low"] > 0 or paired["high"] < 0
    return (
        points(paired["difference"]),
        interval,
        f"{paired['won']}, {paired['lost']}",
        f"{paired['p']:.2g}",
        "" if significant else "may be noise",
    )


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


def compare_command(
    first: Annotated[Path, typer.Argument(help="A run, or a folder of runs.")],
    second: Annotated[Path, typer.Argument(help="What it is compared with.")],
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Test whether two runs differ by more than noise.

    On the out-of-fold utterances that both predicted; a folder of several runs is blended
    uniformly.

    Example: hw4 compare runs/strong-1a2b3c4d runs/boss-5e6f7a8b
    """
    from kaggle_hw4.stages.compare import compare

    place = Workspace.at(workspace)
    comparison = compare(place, first, second)
    values = {
        "runs": [
            {"path": place.shown(side.path), "members": side.members, **plain(side.accuracy)}
            for side in (comparison.first, comparison.second)
        ],
        "by": comparison.by,
        "first_less_second": plain(comparison.difference),
    }
    show(values, as_json, lambda: _comparison(values), "hw4 ensemble runs/*")


def _comparison(values: dict[str, Any]) -> Any:
    from rich.console import Group

    rows = [(run["path"], len(run["members"]), *_accuracy_cells(run)) for run in values["runs"]]
    title = f"Out of fold by {values['by']}, {values['runs'][0]['n']:,} utterances"
    columns = ("runs", "members>", "accuracy>", "s.e.>", "95 %")
    difference = {"first minus second": values["first_less_second"]}
    return Group(table(columns, rows, title), _paired_table("", difference))


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
