"""The ensemble: weights, disagreement, and how accuracy grows with members."""

from collections.abc import Iterator
from typing import Any

from kaggle_hw4.kaggle.events import Created
from kaggle_hw4.report.canvas import Labels
from kaggle_hw4.report.document import Block, Figure, Missing, Text, fixed, make_table
from kaggle_hw4.report.ensemble import EnsembleReport, Growth
from kaggle_hw4.report.plots import Series, bars, heatmap, lines


def show_ensemble(report: EnsembleReport) -> Iterator[Block]:
    created = report.created
    yield Text(_words(created))
    yield _weights(created)
    if len(created.members) > 1:
        yield _disagreement(created)
        yield _candidates(created)
    if report.growth:
        yield _sizes(report.growth)
        yield _greedy(report.growth)
    elif report.reason:
        yield Missing(report.reason)


def _words(created: Created) -> str:
    scores = ", ".join(
        f"{fixed(cv.accuracy)} ± {fixed(cv.standard_error)} by {cv.kind}" for cv in created.cv
    )
    return (
        f"{created.version}: {len(created.members)} members, method {created.method}. "
        f"Validation: {scores}."
    )


def _names(created: Created) -> list[str]:
    return [str(member["name"]) for member in created.members]


def _weights(created: Created) -> Figure:
    labels = Labels(
        "ensemble-weights-figure",
        "Weights of the members",
        "The share of each member's log-probabilities in the blend.",
        "weight",
    )
    rows = [
        (
            member["name"],
            len(member["folds"]),
            fixed(member["temperature"], 3),
            fixed(weight),
            fixed(member["oof"]["accuracy"]),
            fixed(member["oof"]["standard_error"]),
        )
        for member, weight in zip(created.members, created.weights, strict=True)
    ]
    columns = ("member", "folds", "temperature", "weight", "accuracy", "s.e.")
    numbers = make_table("ensemble-weights", "Members of the blend", columns, rows)
    drawn = bars(labels, _names(created), created.weights)
    return Figure(labels.title, labels.description, drawn, numbers)


def _disagreement(created: Created) -> Figure:
    names = _names(created)
    percent = [[round(100 * share) for share in row] for row in created.disagreement]
    labels = Labels(
        "ensemble-disagreement-figure",
        "Disagreement of two members",
        "Percent of the validation utterances that two members label differently: members that "
        "disagree and are as accurate help each other most.",
    )
    rows = [(name, *row) for name, row in zip(names, percent, strict=True)]
    numbers = make_table("ensemble-disagreement", labels.title, ("member", *names), rows)
    short = [str(number) for number in range(1, len(names) + 1)]
    listed = [f"{number} {name}" for number, name in zip(short, names, strict=True)]
    drawn = heatmap(labels, percent, listed, short)
    return Figure(labels.title, labels.description, drawn, numbers)


def _candidates(created: Created) -> Block:
    rows: list[tuple[str, ...]] = []
    for name, accuracy in created.candidates.items():
        difference: dict[str, Any] | None = created.differences.get(name)
        rows.append(
            (
                name,
                fixed(accuracy["accuracy"]),
                fixed(accuracy["standard_error"]),
                f"{100 * difference['difference']:+.2f}" if difference else "",
                f"{100 * difference['standard_error']:.2f}" if difference else "",
                "chosen" if name == created.method else "",
            )
        )
    columns = ("method", "accuracy", "s.e.", "chosen less this, points", "s.e.", "choice")
    return make_table("ensemble-methods", "Ways to blend, cross-fitted over folds", columns, rows)


def _sizes(growth: Growth) -> Figure:
    labels = Labels(
        "ensemble-sizes-figure",
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
    numbers = make_table("ensemble-sizes", labels.title, columns, rows)
    return Figure(labels.title, labels.description, lines(labels, series), numbers)


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
