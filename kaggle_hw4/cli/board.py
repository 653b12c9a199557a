"""The board and the choice of finals as text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kaggle_hw4.cli.output import page, percent, points, table
from kaggle_hw4.cli.submissions import forecast_line
from kaggle_hw4.competition import NO_EDITION

if TYPE_CHECKING:
    from kaggle_hw4.kaggle.finals import FinalSelection
    from kaggle_hw4.kaggle.forecast import Tracking
    from kaggle_hw4.kaggle.leaderboard import Row
    from kaggle_hw4.kaggle.noise import Difference
    from kaggle_hw4.stages.board import Board


def render_board(board: "Board") -> Any:
    """The standings, what is noise between them, how validation tracked the board, forecasts."""
    parts = standings(board.submissions, board.baselines)
    if note := _without_baselines(board):
        parts.append(note)
    if board.neighbours:
        parts.append(_differences(board.neighbours, "One above the next"))
    if board.labels:
        parts.append(_differences(board.labels, "The best of each label"))
    if board.edition and any(row.board == "kaggle" for row in board.submissions):
        parts += _tracking(board.tracking)
    lines = (f"{name}: {forecast_line(each)}" for name, each in board.forecasts.items())
    return page(*parts, *lines)


def _without_baselines(board: "Board") -> str:
    """Why there are no baselines, in one line; empty where there are."""
    if board.edition is None:
        return f"{NO_EDITION}: no baselines, no forecast"
    return "" if board.baselines else f"the baselines of {board.edition} are not known"


def standings(rows: "Sequence[Row]", baselines: Mapping[str, float]) -> list[Any]:
    """Kaggle's board with its baselines, and below it the scores of other boards."""
    kaggle = [row for row in rows if row.board == "kaggle"]
    others = [row for row in rows if row.board != "kaggle"]
    lines = [(row.public or 0.0, _line(row)) for row in kaggle] + [
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


def _line(row: "Row") -> tuple[str, ...]:
    missing = f"failed: {row.failed}" if row.failed else "waits"
    score = percent(row.public) or missing if row.board else "not scored"
    return (
        row.version,
        _validation(row, "session"),
        _validation(row, "utterance"),
        score,
        percent(row.private),
        "" if row.standard_error is None else f"{row.standard_error:.4f}",
        row.passes[-1] if row.passes else "",
    )


def _validation(row: "Row", kind: str) -> str:
    return percent(row.cv[kind].accuracy) if kind in row.cv else ""


def _differences(differences: "Sequence[Difference]", title: str) -> Any:
    rows = [
        (
            f"{each.better} over {each.worse}",
            points(each.difference),
            f"{points(each.low)} to {points(each.high)}",
            "+".join(each.halves),
            "" if each.clear else "may be noise",
        )
        for each in differences
    ]
    wide = "" if all(each.paired for each in differences) else " (too wide without both files)"
    return table(("", "points>", "95 %", "on", ""), rows, title + wide)


def _tracking(tracking: "Sequence[Tracking]") -> list[str]:
    lines = [_tracked(each) for each in tracking if each.n]
    return lines or ["no submission has both a validation and a score: no forecast yet"]


def _tracked(tracking: "Tracking") -> str:
    name, n = f"validation by {tracking.kind} and the {tracking.half} score", tracking.n
    gap, rank = tracking.gap, tracking.spearman
    if gap is None:
        return f"{name}: {n} submissions have both, too few for a correlation"
    order = f"{rank.value:+.2f} ({rank.low:+.2f} to {rank.high:+.2f})" if rank else "none, all tie"
    return (
        f"{name}: an overestimate of {points(gap.value)} points ({points(gap.low)} to "
        f"{points(gap.high)}), Spearman {order}, n = {n}"
    )


def render_finals(finals: "FinalSelection") -> Any:
    """The candidates, the two that are chosen, and why."""
    chosen = {final.version for final in finals.finals}
    rows = [
        (
            "→" if each.version in chosen else "",
            each.version,
            percent(each.public),
            f"{each.expected:.4f} ± {each.deviation:.4f}",
        )
        for each in finals.candidates
    ]
    columns = ("", "submission", "public>", "private, expected>")
    return page(table(columns, rows, "The two finals"), *finals.why, *_hindsight(finals))


def _hindsight(finals: "FinalSelection") -> list[str]:
    """What the choice would have been worth, once the private scores are known."""
    known = {c.version: c.private for c in finals.candidates if c.private is not None}
    chosen = [known[final.version] for final in finals.finals if final.version in known]
    if not chosen or len(known) < len(finals.candidates):
        return []
    best = max(known, key=lambda version: known[version])
    return [
        f"in hindsight: the better of the two has {percent(max(chosen))} on the private board, "
        f"the best of all is {best} with {percent(known[best])}"
    ]
