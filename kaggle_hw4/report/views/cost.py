"""Time, memory and disk of every run."""

from collections.abc import Iterator

from kaggle_hw4.pace import in_words
from kaggle_hw4.report.canvas import Labels, make_figure
from kaggle_hw4.report.cost import CostReport
from kaggle_hw4.report.document import Block, Figure, Text, fixed, make_table
from kaggle_hw4.report.plots import Series, scatter


def show_cost(report: CostReport) -> Iterator[Block]:
    training = in_words(sum(group.seconds for group in report.groups))
    size = sum(group.bytes for group in report.groups) / 1e6
    yield Text(
        f"{len(report.runs)} finished runs took {training} of training and {size:,.1f} MB of disk."
    )
    for run in report.unfinished:
        total = f" of {run.steps:,}" if run.steps else ""
        yield Text(f"{run.run} is not finished: step {run.step:,}{total}, {run.seconds:.0f} s.")
    if report.groups:
        yield _figure(report)
        yield _runs(report)


def _figure(report: CostReport) -> Figure:
    labels = Labels(
        "cost-accuracy",
        "Accuracy against training time",
        "The mean validation accuracy of a recipe's runs against the mean time of one.",
        "seconds a run",
        "accuracy",
    )
    rows = [
        (g.group, g.owner, g.runs, fixed(g.seconds, 1), fixed(g.per_run, 1), fixed(g.accuracy),
         fixed(g.bytes / 1e6, 1))
        for g in report.groups
    ]  # fmt: skip
    columns = ("recipe", "study", "runs", "seconds in all", "seconds a run", "accuracy", "MB")
    series = [Series(g.variant, [g.per_run], [g.accuracy]) for g in report.groups]
    merged: dict[str, Series] = {}
    for each in series:
        old = merged.get(each.name)
        x, y = ([*old.x, *each.x], [*old.y, *each.y]) if old else (each.x, each.y)
        merged[each.name] = Series(each.name, x, y)
    drawn = scatter(labels, [*merged.values()], log_x=_is_wide([g.per_run for g in report.groups]))
    return make_figure(labels, drawn, columns, rows, "Cost of each recipe")


def _is_wide(values: list[float]) -> bool:
    """Whether they need a logarithmic axis."""
    return min(values) > 0 and max(values) > 10 * min(values)


def _runs(report: CostReport) -> Block:
    rows = [
        (
            run.run,
            run.owner,
            str(run.device),
            f"{run.parameters:,}",
            run.steps,
            fixed(run.seconds, 1),
            fixed(run.rate, 2),
            fixed(run.memory / 1e9, 2),
            fixed(run.bytes / 1e6, 1),
            fixed(run.accuracy),
        )
        for run in report.runs
    ]
    columns = (
        "run", "study", "where", "parameters", "steps", "seconds", "steps a second",
        "GB of memory at most", "MB of disk",
        "accuracy",
    )  # fmt: skip
    return make_table("cost-runs", "Every finished run", columns, rows)
