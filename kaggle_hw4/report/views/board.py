"""The board: scores against baselines, validation against scores, what to expect."""

from collections.abc import Iterator, Sequence

from kaggle_hw4.report.board import BoardReport, ScoreRow
from kaggle_hw4.report.canvas import Labels, make_figure
from kaggle_hw4.report.document import Block, Figure, Finding, Missing, Text, fixed, make_table
from kaggle_hw4.report.plots import Series, lines, scatter

Z = 1.96


def show_board(report: BoardReport) -> Iterator[Block]:
    if report.scores:
        yield Text(_which(report))
    yield from (Text(f"{v} could not be scored: {reason}") for v, reason in report.failures)
    if not report.scores:
        versions = ", ".join(report.unscored)
        yield Missing(f"No submission has a score yet ({versions}).", "hw4 submit")
        yield from _forecasts(report)
        return
    yield from _findings(report)
    yield _timeline(report)
    if any(row.session is not None or row.utterance is not None for row in report.scores):
        yield _tracking_figure(report)
    yield make_table(
        "board-scores",
        "Submissions, in the order in which they were sent",
        ("submission", "time, UTC", "public", "s.e.", "private", "session", "seen-session"),
        [_cells(row) for row in report.scores],
    )
    yield from _forecasts(report)
    yield from _finals(report)
    yield from (Text(problem) for problem in report.board.problems)


def _which(report: BoardReport) -> str:
    unscored = f" Without a score: {', '.join(report.unscored)}." if report.unscored else ""
    if report.kind == "local":
        return (
            "These scores are those of a local truth file: neither Kaggle's scores nor its "
            f"baselines can be compared with them.{unscored}"
        )
    edition = report.edition
    if edition is None:
        return f"Scores on Kaggle's board; the corpus is no edition of the competition.{unscored}"
    return (
        f"Scores on Kaggle's board of {edition.year} ({edition.page}). A half has "
        f"{edition.board_rows:,} rows: two scores may differ by a point by chance.{unscored}"
    )


def _findings(report: BoardReport) -> Iterator[Block]:
    for each in report.board.labels:
        margin = f"{100 * each.difference:.1f} ± {100 * (each.difference - each.low) / Z:.1f}"
        paired = "" if each.paired else " (without both files, the error is too large)"
        verdict = "more than noise" if each.clear else "this may be noise"
        yield Finding(f"{each.better} is {margin} points above {each.worse}: {verdict}{paired}.")


def _cells(row: ScoreRow) -> tuple[str, ...]:
    time = row.time[:16].replace("T", " ")
    scores = (row.public, row.public_error, row.private, row.session, row.utterance)
    return (row.version, time, *(fixed(score, 5) for score in scores))


def _timeline(report: BoardReport) -> Figure:
    series = [
        _half("public", [(i, r.public, r.public_error) for i, r in enumerate(report.scores, 1)]),
        _half("private", [(i, r.private, r.private_error) for i, r in enumerate(report.scores, 1)]),
    ]
    references = dict(report.board.baselines) if report.kind == "kaggle" else {}
    columns = ("number", "submission", "public", "public ±", "private", "private ±")
    rows = [_interval_cells(i, row) for i, row in enumerate(report.scores, 1)]
    shown = ", dotted: the baselines" if references else ""
    labels = Labels(
        "board-timeline",
        "Submissions over time",
        f"Public and private score of each submission, oldest first; bands are 95 %{shown}.",
        "submission",
        "accuracy",
        whole=True,
    )
    drawn = lines(labels, [each for each in series if len(each.x)], references)
    return make_figure(labels, drawn, columns, rows, "Scores with their 95 % intervals")


def _interval_cells(number: int, row: ScoreRow) -> tuple[int | str, ...]:
    errors = (row.public_error, row.private_error)
    margins = [None if error is None else Z * error for error in errors]
    scores = (row.public, margins[0], row.private, margins[1])
    return (number, row.version, *(fixed(score) for score in scores))


def _half(name: str, values: Sequence[tuple[int, float | None, float | None]]) -> Series:
    known = [(i, score, Z * (error or 0.0)) for i, score, error in values if score is not None]
    return Series(
        name,
        [i for i, *_ in known],
        [score for _, score, _ in known],
        [score - margin for _, score, margin in known],
        [score + margin for _, score, margin in known],
    )


def _tracking_figure(report: BoardReport) -> Figure:
    kinds = (("session", "session"), ("seen-session", "utterance"))
    clouds = [_cloud(report.scores, name, kind) for name, kind in kinds]
    rows = [
        (
            f"{t.kind} against {t.half}",
            t.n,
            fixed(t.spearman.value, 2) if t.spearman else "",
            fixed(100 * t.gap.value, 1) if t.gap else "",
            f"{100 * t.gap.low:.1f} to {100 * t.gap.high:.1f}" if t.gap else "",
        )
        for t in report.board.tracking
    ]
    columns = ("validation", "submissions", "rank correlation", "gap, points", "95 %")
    labels = Labels(
        "board-tracking",
        "Validation against the public score",
        "On the dotted line, validation is the score; right of it, validation overestimates.",
        "validation",
        "public score",
    )
    drawn = scatter(labels, [cloud for cloud in clouds if len(cloud.x)], diagonal=True)
    return make_figure(labels, drawn, columns, rows, "How validation follows Kaggle's board")


def _cloud(scores: Sequence[ScoreRow], name: str, kind: str) -> Series:
    both = [(getattr(row, kind), row.public, row.public_error or 0.0) for row in scores]
    known = [(cv, s, Z * e) for cv, s, e in both if cv is not None and s is not None]
    low, high = ([s + sign * margin for _, s, margin in known] for sign in (-1, 1))
    return Series(
        f"{name} validation", [cv for cv, *_ in known], [s for _, s, _ in known], low, high
    )


def _forecasts(report: BoardReport) -> Iterator[Block]:
    for version, forecast in report.board.forecasts.items():
        if forecast:
            yield Text(
                f"Forecast of {version}: public {forecast.public:.3f} "
                f"({forecast.low:.3f} to {forecast.high:.3f}, 95 %), from validation by "
                f"{forecast.kind} and {forecast.based_on}; chance to pass {forecast.goal}: "
                f"{forecast.chance:.0%}."
            )


def _finals(report: BoardReport) -> Iterator[Block]:
    if report.finals and report.kind == "kaggle":
        names = " and ".join(final.version for final in report.finals.finals)
        yield Text(f"To select for the private board: {names}. {'; '.join(report.finals.why)}.")
