"""hw4 ensemble, submit, leaderboard."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, Root
from kaggle_hw4.cli.output import percent, say, show, table
from kaggle_hw4.workspace import Workspace

leaderboard = typer.Typer(help="The submissions and their scores.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.command()(ensemble)
    app.command()(submit)
    app.add_typer(leaderboard, name="leaderboard")


def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="Runs, or folders of runs.")],
    label: Annotated[str | None, typer.Option(help="Else the variants, as Strong+Boss.")] = None,
    split: Annotated[str | None, typer.Option(help="Only runs of this fold table.")] = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Blend runs into a new, versioned submission.

    Each member's logits are calibrated on its own out-of-fold rows, then log-probabilities are
    averaged; fitted weights are used only where nested folds say that they beat uniform.

    Example: hw4 ensemble runs/*
    """
    from kaggle_hw4 import stages

    value = stages.ensemble(Workspace.at(workspace), runs, label, split)
    if value["unfinished"]:
        say(f"left out, not finished: {', '.join(value['unfinished'])}")
    if not value["new"]:
        say(f"{value['version']} was made of just these runs already")
    show(value, as_json, lambda: _blend(value), f"hw4 submit {value['version']}")


def _blend(value: dict[str, Any]) -> Any:
    """The table of an ensemble: members, what was compared, what was chosen."""
    rows: list[tuple[object, ...]] = [
        (m["name"], len(m["folds"]), f"{m['temperature']:.2f}", f"{w:.2f}", *_accuracy(m["oof"]))
        for m, w in zip(value["members"], value["weights"], strict=True)
    ]
    best = max((m["oof"] for m in value["members"]), key=lambda oof: float(oof["accuracy"]))
    for name, oof in (
        ("best single", best),
        ("uniform", value["uniform"]),
        ("weighted (nested)", value["weighted"]),
        (f"chosen: {value['method']}", value["cv"][0]),
    ):
        if oof:
            rows.append((name, "", "", "", *_accuracy(oof)))
    by = value["cv"][0]["kind"]
    columns = ("member", "folds>", "T>", "weight>", "out of fold>", "95 %")
    return table(columns, rows, f"{value['version']}: folds by {by}, {best['n']:,} utterances")


def _accuracy(found: dict[str, float]) -> tuple[str, str]:
    return percent(found["accuracy"]), f"{found['low']:.3f}–{found['high']:.3f}"


def submit(
    version: Annotated[str | None, typer.Argument(help="Else the latest one.")] = None,
    to: Annotated[str, typer.Option(help="web (upload by hand) or local (score it here).")] = "web",
    truth: Annotated[Path | None, typer.Option(help="Id,Category of the test set.")] = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Check a submission; score it or say where to send it.

    Example: hw4 submit --to local --truth corpus/truth.csv
    """
    from kaggle_hw4 import stages

    value = stages.submit(Workspace.at(workspace), version, to, truth)
    show(value, as_json, lambda: submitted(value), after(value))


def submitted(value: dict[str, Any]) -> str:
    """One sentence on what became of a submission."""
    if "page" in value:
        return f"{value['version']} is fit to be sent: upload {value['path']} at {value['page']}"
    scores = [f"{half} {percent(value[half])}" for half in ("public", "private") if half in value]
    board = {"local": "the local board", "kaggle": "Kaggle's board"}[value["board"]]
    return f"{value['version']} scored {', '.join(scores)} on {board}"


def after(value: dict[str, Any]) -> str:
    if "page" in value:
        return f"hw4 leaderboard record {value['version']} --public SCORE"
    return "hw4 leaderboard show"


@leaderboard.command()
def record(
    version: Annotated[str, typer.Argument(help="Which submission, as Boss_V1.")],
    public: Annotated[float | None, typer.Option(help="Its public score, as 0.78825.")] = None,
    private: Annotated[float | None, typer.Option(help="Its private score.")] = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Record by hand what Kaggle's board says of a submission.

    Example: hw4 leaderboard record Boss_V1 --public 0.78825 --private 0.78275
    """
    from kaggle_hw4.kaggle.leaderboard import resolve
    from kaggle_hw4.kaggle.ledger import Ledger

    ledger = Ledger(Workspace.at(workspace).submissions)
    scores = {"public": public, "private": private}
    event = {"event": "scored", "version": resolve(ledger, version).version, **scores}
    value = ledger.append(event | {"board": "kaggle", "how": "by hand"})
    show(value, as_json, lambda: f"{value['version']} is recorded", "hw4 leaderboard show")


@leaderboard.command("show")
def show_board(workspace: Root = None, as_json: AsJson = False) -> None:
    """Show the submissions among the four baselines.

    Example: hw4 leaderboard show
    """
    from kaggle_hw4.kaggle import leaderboard as board
    from kaggle_hw4.kaggle.ledger import Ledger

    rows = board.table(Ledger(Workspace.at(workspace).submissions).entries())
    value = {"baselines": board.BASELINES, "submissions": rows}
    show(
        value,
        as_json,
        lambda: standings(rows, board.BASELINES),
        "" if rows else "hw4 ensemble runs/*",
    )


def standings(rows: list[dict[str, Any]], baselines: dict[str, float]) -> Any:
    """Kaggle's board with its four baselines, and below it what has no place there."""
    from rich.console import Group

    kaggle = [row for row in rows if row["board"] == "kaggle"]
    others = [row for row in rows if row["board"] != "kaggle"]
    lines = [(row["public"] or 0.0, _line(row)) for row in kaggle] + [
        (score, (f"· {name} baseline", "", "", percent(score), "", ""))
        for name, score in baselines.items()
    ]
    ordered = [line for _, line in sorted(lines, key=lambda line: -line[0])]
    columns = ("submission", "CV session>", "CV utterance>", "public>", "private>", "s.e.>")
    tables = [table(columns, ordered, "Kaggle's board")]
    if others:
        title = "Local board: another corpus, not to be compared with Kaggle's scores"
        tables.append(table(columns, [_line(row) for row in others], title))
    return Group(*tables)


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    error = row["standard_error"]
    return (
        row["version"],
        _validation(row, "session"),
        _validation(row, "utterance"),
        percent(row["public"]) if row["board"] else "not scored",
        percent(row["private"]),
        "" if error is None else f"{error:.4f}",
    )


def _validation(row: dict[str, Any], kind: str) -> str:
    found = row["cv"].get(kind)
    return percent(found["accuracy"]) if found else ""
