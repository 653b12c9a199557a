"""The ensemble: weights, disagreement, and how accuracy grows with members."""

from collections.abc import Iterator

from kaggle_hw4.report.canvas import Labels, make_figure
from kaggle_hw4.report.document import Block, Cell, Figure, Missing, Text, fixed, make_table
from kaggle_hw4.report.ensemble import EnsembleReport, Growth
from kaggle_hw4.report.plots import Series, bars, heatmap, lines


def show_ensemble(report: EnsembleReport) -> Iterator[Block]:
    yield Text(_words(report))
    if report.reason:
        yield Missing(report.reason)
    yield _weights(report)
    if len(report.members) > 1:
        yield _disagreement(report)
    if report.growth:
        yield _sizes(report.growth)
        yield _greedy(report.growth)
    if len(report.members) > 1:
        yield _candidates(report)


def _words(report: EnsembleReport) -> str:
    scores = ", ".join(
        f"{fixed(cv.accuracy)} ± {fixed(cv.standard_error)} by {cv.kind}"
        for cv in report.validations
    )
    return (
        f"{report.version}: {len(report.members)} members, method {report.method}. "
        f"Validation: {scores}."
    )


def _weights(report: EnsembleReport) -> Figure:
    labels = Labels(
        "ensemble-weights",
        "Weights of the members",
        "The share of each member's log-probabilities in the blend.",
        "weight",
    )
    rows = [
        (
            member.name,
            member.folds,
            fixed(member.temperature, 3),
            fixed(member.weight),
            fixed(member.accuracy),
            fixed(member.standard_error),
        )
        for member in report.members
    ]
    columns = ("member", "folds", "temperature", "weight", "accuracy", "s.e.")
    drawn = bars(labels, [m.name for m in report.members], [m.weight for m in report.members])
    return make_figure(labels, drawn, columns, rows, "Members of the blend")


def _disagreement(report: EnsembleReport) -> Figure:
    names = [member.name for member in report.members]
    percent = [[round(100 * share) for share in row] for row in report.disagreement]
    labels = Labels(
        "ensemble-disagreement",
        "Disagreement of two members",
        "Percent of the validation utterances that two members label differently: members that "
        "disagree and are as accurate help each other most.",
    )
    rows: list[tuple[Cell, ...]] = [(n, *row) for n, row in zip(names, percent, strict=True)]
    short = [str(number) for number in range(1, len(names) + 1)]
    listed = [f"{number} {name}" for number, name in zip(short, names, strict=True)]
    return make_figure(labels, heatmap(labels, percent, listed, short), ("member", *names), rows)


def _candidates(report: EnsembleReport) -> Block:
    rows: list[tuple[Cell, ...]] = [
        (
            each.method,
            fixed(each.accuracy),
            fixed(each.standard_error),
            "" if each.lead is None else f"{100 * each.lead:+.2f}",
            "" if each.lead_error is None else f"{100 * each.lead_error:.2f}",
            "chosen" if each.method == report.method else "",
        )
        for each in report.candidates
    ]
    columns = ("method", "accuracy", "s.e.", "chosen minus this, points", "s.e.", "choice")
    return make_table("ensemble-methods", "Ways to blend, cross-fitted over folds", columns, rows)


def _sizes(growth: Growth) -> Figure:
    labels = Labels(
        "ensemble-sizes",
        "Accuracy against the number of members",
        "Uniform blends of random members, the mean and the lowest and highest of them; the other "
        "line takes the best next member at each step.",
        "members",
        "accuracy",
        whole=True,
    )
    sizes = growth.sizes
    x = [size.members for size in sizes]
    series = [
        Series(
            "random members",
            x,
            [size.mean for size in sizes],
            [size.lowest for size in sizes],
            [size.highest for size in sizes],
        ),
        Series("greedy path", x, [step.accuracy.accuracy for step in growth.greedy]),
    ]
    rows = [(s.members, fixed(s.mean), fixed(s.lowest), fixed(s.highest), s.subsets) for s in sizes]
    columns = ("members", "mean", "lowest", "highest", "blends")
    return make_figure(labels, lines(labels, series), columns, rows)


def _greedy(growth: Growth) -> Block:
    rows = [
        (
            number,
            step.member,
            fixed(step.accuracy.accuracy),
            f"{100 * step.gain.difference:+.2f}" if step.gain else "",
            f"{100 * step.gain.standard_error:.2f}" if step.gain else "",
        )
        for number, step in enumerate(growth.greedy, 1)
    ]
    columns = ("step", "member added", "accuracy", "gain, points", "s.e.")
    caption = f"Greedy path over {growth.n:,} validation utterances; it has seen their labels"
    return make_table("ensemble-greedy", caption, columns, rows)
