"""hw4 leaderboard: record, import, sync, show, choose."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, Root
from kaggle_hw4.cli.output import percent, points, show, table
from kaggle_hw4.cli.submissions import forecast_line
from kaggle_hw4.competition import NO_EDITION
from kaggle_hw4.workspace import Workspace

leaderboard = typer.Typer(help="The submissions and their scores.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(leaderboard, name="leaderboard")


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


@leaderboard.command("import")
def import_scores(
    file: Annotated[Path, typer.Argument(help="A listing, a copied page, or file,private,public.")],
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Take scores from a file into the ledger.

    The client's CSV listing, the table copied from the Submissions page, or a plain list.

    Example: hw4 leaderboard import examples/past_scores.csv
    """
    from kaggle_hw4.stages import board

    news = board.import_scores(Workspace.at(workspace), file)
    show(news, as_json, lambda: _news(news), "hw4 leaderboard show")


@leaderboard.command()
def sync(workspace: Root = None, as_json: AsJson = False) -> None:
    """Take Kaggle's list of your submissions into the ledger.

    Example: hw4 leaderboard sync
    """
    from kaggle_hw4.stages import board

    news = board.synchronise(Workspace.at(workspace))
    show(news, as_json, lambda: _news(news), "hw4 leaderboard show")


def _news(news: list[dict[str, Any]]) -> Any:
    if not news:
        return "Kaggle lists no submissions yet"
    rows = [
        (
            line["version"],
            percent(line["public"]),
            percent(line["private"]),
            line["status"],
            "adopted" if line["adopted"] else "new" if line["news"] else "known",
        )
        for line in news
    ]
    return table(("submission", "public>", "private>", "status", ""), rows)


@leaderboard.command("show")
def show_board(workspace: Root = None, as_json: AsJson = False) -> None:
    """Show the submissions among the four baselines.

    With what is noise between them, how validation has tracked the board, and what to expect of
    a submission not yet sent.

    Example: hw4 leaderboard show
    """
    from kaggle_hw4.kaggle import forecast, leaderboard, noise
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.stages.edition import edition_of_workspace

    place = Workspace.at(workspace)
    edition, ledger = edition_of_workspace(place), Ledger(place.submissions)
    entries = ledger.entries()
    rows = leaderboard.table(entries, edition)
    waiting = [e for e in entries if e.created and "kaggle" not in e.scores]
    value = {
        "edition": edition.year if edition else None,
        "baselines": dict(edition.baselines) if edition else {},
        "submissions": rows,
        "neighbours": noise.neighbours(ledger.folder, entries, edition),
        "labels": noise.labels(ledger.folder, entries, edition),
        "tracking": forecast.tracking(entries),
        "forecasts": {
            e.version: forecast.forecast(entries, (e.created or {}).get("cv"), edition)
            for e in waiting
            if edition
        },
    }
    then = (
        "hw4 leaderboard choose" if value["neighbours"] else "" if rows else "hw4 ensemble runs/*"
    )
    show(value, as_json, lambda: _board(value), then)


def _board(value: dict[str, Any]) -> Any:
    from rich.console import Group

    parts = standings(value["submissions"], value["baselines"])
    if note := _without_baselines(value):
        parts.append(note)
    if value["neighbours"]:
        parts.append(_differences(value["neighbours"], "One above the next"))
    if value["labels"]:
        parts.append(_differences(value["labels"], "The best of each label"))
    if value["edition"] and any(row["board"] == "kaggle" for row in value["submissions"]):
        parts.append(_tracking(value["tracking"]))
    parts += [f"{version}: {forecast_line(found)}" for version, found in value["forecasts"].items()]
    return Group(*parts)


def _without_baselines(value: dict[str, Any]) -> str:
    """Why there are no baselines, in one line; empty where there are."""
    if value["edition"] is None:
        return f"{NO_EDITION}: no baselines, no forecast"
    return "" if value["baselines"] else f"the baselines of {value['edition']} are not known"


def standings(rows: list[dict[str, Any]], baselines: dict[str, float]) -> list[Any]:
    """Kaggle's board with its baselines, and below it what has no place there."""
    kaggle = [row for row in rows if row["board"] == "kaggle"]
    others = [row for row in rows if row["board"] != "kaggle"]
    lines = [(row["public"] or 0.0, _line(row)) for row in kaggle] + [
        (score, (f"· {name} baseline", "", "", percent(score), "", "", ""))
        for name, score in baselines.items()
    ]
    ordered = [line for _, line in sorted(lines, key=lambda line: -line[0])]
    columns = ("submission", "CV session>", "CV utterance>", "public>", "private>", "s.e.>")
    tables = [table((*columns, "passes"), ordered, "Kaggle's board")] if ordered else []
    if others:
        title = "Local board: another corpus, not to be compared with Kaggle's scores"
        tables.append(table(columns, [_line(row)[:-1] for row in others], title))
    return tables


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    error = row["standard_error"]
    missing = f"failed: {row['failed']}" if row["failed"] else "waits"
    score = percent(row["public"]) or missing if row["board"] else "not scored"
    return (
        row["version"],
        _validation(row, "session"),
        _validation(row, "utterance"),
        score,
        percent(row["private"]),
        "" if error is None else f"{error:.4f}",
        row["passes"][-1] if row["passes"] else "",
    )


def _validation(row: dict[str, Any], kind: str) -> str:
    found = row["cv"].get(kind)
    return percent(found["accuracy"]) if found else ""


def _differences(found: list[dict[str, Any]], title: str) -> Any:
    rows = [
        (
            f"{one['better']} over {one['worse']}",
            points(one["difference"]),
            f"{points(one['low'])} to {points(one['high'])}",
            "+".join(one["halves"]),
            "" if one["clear"] else "may be noise",
        )
        for one in found
    ]
    wide = "" if all(one["paired"] for one in found) else " (too wide without both files)"
    return table(("", "points>", "95 %", "on", ""), rows, title + wide)


def _tracking(found: list[dict[str, Any]]) -> str:
    lines = [_tracked(one) for one in found if one["n"]]
    return "\n".join(lines) or "no submission has both a validation and a score: no forecast yet"


def _tracked(found: dict[str, Any]) -> str:
    name = f"validation by {found['kind']} and the {found['half']} score"
    if found["gap"] is None:
        return f"{name}: {found['n']} submissions have both, too few to say how they go together"
    gap, rank = found["gap"], found["spearman"]
    order = "none, all tie"
    if rank is not None:
        order = f"{rank['value']:+.2f} ({rank['low']:+.2f} to {rank['high']:+.2f})"
    return (
        f"{name}: {points(gap['value'])} points too much ({points(gap['low'])} to "
        f"{points(gap['high'])}), Spearman {order}, n = {found['n']}"
    )


@leaderboard.command()
def choose(workspace: Root = None, as_json: AsJson = False) -> None:
    """Propose the two submissions to select as final.

    From public scores and validation alone; private scores, where they are out, only serve to say
    afterwards what the choice was worth.

    Example: hw4 leaderboard choose
    """
    from kaggle_hw4.kaggle.finals import choose as choose_finals
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.stages.edition import edition_of_workspace

    place = Workspace.at(workspace)
    ledger = Ledger(place.submissions)
    value = choose_finals(ledger.folder, ledger.entries(), edition_of_workspace(place))
    show(value, as_json, lambda: _finals(value))


def _finals(value: dict[str, Any]) -> Any:
    from rich.console import Group

    chosen = {final["version"] for final in value["finals"]}
    rows = [
        (
            "→" if one["version"] in chosen else "",
            one["version"],
            percent(one["public"]),
            f"{one['expected']:.4f} ± {one['deviation']:.4f}",
        )
        for one in value["candidates"]
    ]
    said = [table(("", "submission", "public>", "private, expected>"), rows, "The two finals")]
    said += value["why"]
    return Group(*said, *_hindsight(value))


def _hindsight(value: dict[str, Any]) -> list[str]:
    """What the choice would have been worth, once the private scores are out."""
    known = {c["version"]: c["private"] for c in value["candidates"] if c["private"] is not None}
    ours = [known[f["version"]] for f in value["finals"] if f["version"] in known]
    if not ours or len(known) < len(value["candidates"]):
        return []
    best = max(known, key=lambda version: known[version])
    return [
        f"in hindsight: the better of the two has {percent(max(ours))} on the private board, "
        f"the best of all is {best} with {percent(known[best])}"
    ]
