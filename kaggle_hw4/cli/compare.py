"""hw4 compare: two groups of runs, or every two of several."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from kaggle_hw4.cli.ensemble import accuracy_cells, comparison_json, render_comparison
from kaggle_hw4.cli.options import AsJson, GroupsOfRuns, Root, RunsOfVariants
from kaggle_hw4.cli.output import page, plain, points, say, show, table
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace, shown

if TYPE_CHECKING:
    from kaggle_hw4.stages.compare import ComparedRuns, GroupComparison


def add_to(app: typer.Typer) -> None:
    app.command("compare")(compare_command)


def compare_command(
    groups: GroupsOfRuns = None,
    variants: RunsOfVariants = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Test whether runs differ by more than noise.

    On the out-of-fold utterances that all of them predicted; several runs of a group are blended
    uniformly. With more than two groups, or a folder of several recipes alone, every two are
    compared, and p is corrected for their number.

    Example: hw4 compare runs/strong-1a2b3c4d runs/boss-5e6f7a8b
    """
    from kaggle_hw4.stages.compare import compare, compare_groups, find_groups

    place = Workspace.at(workspace)
    names = [*(groups or ()), *(variants or ())]
    if not names:
        raise UsageError("there is nothing to compare", "hw4 compare strong boss")
    paths = find_groups(place, names)
    then = f"hw4 ensemble {' '.join(map(shown, paths))}"
    if len(paths) == 2:
        with bars("compare") as bar:
            comparison = compare(place, paths[0], paths[1], bar)
        _say_folds([comparison.first, comparison.second])
        show(comparison_json(comparison), as_json, lambda: render_comparison(comparison), then)
        return
    with bars("compare") as bar:
        several = compare_groups(place, paths, bar)
    _say_folds(several.groups)
    show(_groups_json(several), as_json, lambda: render_groups(several), then)


def _say_folds(groups: "Sequence[ComparedRuns]") -> None:
    """Which folds the comparison leaves out, because a group has not been trained on them."""
    trained = set.union(*(set(group.folds) for group in groups))
    for group in groups:
        if missing := sorted(trained - set(group.folds)):
            folds = ", ".join(map(str, missing))
            say(f"{shown(group.path)} has not been trained on fold {folds}: left out for all")


def _groups_json(comparison: "GroupComparison") -> dict[str, Any]:
    groups = comparison.groups
    return {
        "groups": [
            {"path": shown(each.path), "members": each.members, **plain(each.accuracy)}
            for each in groups
        ],
        "by": comparison.by,
        "pairs": [
            {
                "first": shown(groups[pair.first].path),
                "second": shown(groups[pair.second].path),
                **plain(pair.difference),
                "p_holm": pair.p_holm,
            }
            for pair in comparison.pairs
        ],
    }


def render_groups(comparison: "GroupComparison") -> Any:
    """A row for each group, the best first, and one for each two of them."""
    groups = comparison.groups
    rows = [
        (number, shown(group.path), len(group.members), *accuracy_cells(plain(group.accuracy)))
        for number, group in enumerate(groups, 1)
    ]
    title = f"Out of fold by {comparison.by}, {groups[0].accuracy.n:,} utterances"
    columns = ("#", "runs", "members>", "accuracy>", "s.e.>", "95 %")
    pairs = ("", "points>", "s.e.>", "95 %, by speaker", "won, lost", "p, Holm>", "")
    return page(table(columns, rows, title), table(pairs, _pair_rows(comparison)))


def _pair_rows(comparison: "GroupComparison") -> Iterator[tuple[object, ...]]:
    for pair in comparison.pairs:
        d = pair.difference
        yield (
            f"{pair.first + 1} - {pair.second + 1}",
            points(d.difference),
            f"{100 * d.standard_error:.2f}",
            f"{points(d.low)} to {points(d.high)}",
            f"{d.won}, {d.lost}",
            f"{pair.p_holm:.2g}",
            "" if pair.p_holm < 0.05 else "may be noise",
        )
