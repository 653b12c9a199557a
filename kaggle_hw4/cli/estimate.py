"""What a command will take, shown instead of doing it: --dry-run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kaggle_hw4.cli.hints import same_command
from kaggle_hw4.cli.output import page, show, table
from kaggle_hw4.pace import in_words, write_duration
from kaggle_hw4.progress import bars

if TYPE_CHECKING:
    from kaggle_hw4.execution.placement import Placement
    from kaggle_hw4.execution.spec import Asked
    from kaggle_hw4.stages.estimate import Estimate
    from kaggle_hw4.stages.train import TimeGiven


def show_estimate(
    asked: "Sequence[Asked]",
    given: "TimeGiven | None",
    placement: "Placement | None",
    as_json: bool,
) -> None:
    """Measure some steps and predictions, and print what every run will take; nothing is written.

    With a given time, steps and networks are those that it would be spent on. Where runs are
    trained on a cluster, times are those of this machine, one run after the other.
    """
    if given is not None and placement is not None:
        placement.check_speed("time_limit")
    with bars("estimate") as bar:
        from kaggle_hw4.stages.estimate import estimate
        from kaggle_hw4.stages.plan_time import plan_time
        from kaggle_hw4.stages.train import measure_at

        measure = measure_at(placement)
        if given is None:
            cost = estimate(asked, bar, measure)
        else:
            cost = plan_time(asked, given, bar, measure).estimate()
    show(cost, as_json, lambda: render_estimate(cost), same_command("--dry-run"))


def render_estimate(cost: "Estimate") -> Any:
    """A row for each run, and the sum; memory is not summed: it is that of each run."""
    rows: list[tuple[object, ...]] = [
        (
            each.run,
            f"{each.steps:,}",
            each.networks,
            in_words(each.seconds) if each.seconds else "finished",
            f"{each.memory / 1e9:.1f}",
            f"{each.disk / 1e6:,.1f}",
        )
        for each in cost.runs
    ]
    sums = (in_words(cost.seconds), f"{cost.memory / 1e9:.1f}", f"{cost.disk / 1e6:,.1f}")
    rows.append(("all", "", "", *sums))
    columns = ("run", "steps>", "networks>", "time>", "memory GB>", "disk MB>")
    used = f", {write_duration(cost.used)} of it used before" if cost.used else ""
    at_a_time = [f"{cost.jobs} runs at a time"] if cost.jobs > 1 else []
    limit = [f"time limit {write_duration(cost.limit)}{used}"] if cost.limit else []
    return page(table(columns, rows), *at_a_time, *limit)
