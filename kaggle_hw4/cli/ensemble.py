"""hw4 ensemble, and what `hw4 compare` prints of two sides."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.hints import same_command
from kaggle_hw4.cli.options import (
    AsJson,
    GroupsOfRuns,
    Root,
    RunsOfVariants,
    choice,
    folders_of_runs,
)
from kaggle_hw4.cli.output import page, percent, plain, points, say, show, table
from kaggle_hw4.cli.submissions import forecast_line
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace, shown

if TYPE_CHECKING:
    from kaggle_hw4.stages.compare import Comparison
    from kaggle_hw4.stages.ensemble import EnsembleResult

METHODS = ("auto", "uniform", "greedy", "log-linear", "vote", "probabilities")


def add_to(app: typer.Typer) -> None:
    app.command("ensemble")(ensemble_command)


def ensemble_command(
    runs: GroupsOfRuns = None,
    variants: RunsOfVariants = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The name; else the variants, as Strong+Boss."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs of this fold table: session5.")
    ] = None,
    method: Annotated[
        str, choice(*METHODS, text="How the members are combined; auto cross-fits.")
    ] = "auto",
    counts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A table speaker,count of the test set, if exactly known."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the blend; write nothing.")
    ] = False,
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

    request = Request(label, split, method, counts, dry_run)
    place = Workspace.at(workspace)
    folders = folders_of_runs(place, runs, variants, "hw4 ensemble runs/*")
    with bars("ensemble") as bar:
        result = ensemble(place, folders, request, bar)
    version = result.created.version
    for name, reason in result.left_out.items():
        say(f"left out: {name} {reason}")
    if not result.new:
        say(f"{version} was made from exactly these runs already")
    then = same_command("--dry-run") if dry_run and result.new else f"hw4 submit {version}"
    show(ensemble_json(result), as_json, lambda: render_ensemble(result), then)


def ensemble_json(result: "EnsembleResult") -> dict[str, Any]:
    """The created event and what came with it, in one object."""
    values = plain(result)
    return {**values.pop("created"), **values}


def comparison_json(comparison: "Comparison") -> dict[str, Any]:
    """Both sides and their difference, in one object."""
    return {
        "runs": [
            {"path": shown(side.path), "members": side.members, **plain(side.accuracy)}
            for side in (comparison.first, comparison.second)
        ],
        "by": comparison.by,
        "first_less_second": plain(comparison.difference),
    }


def render_ensemble(result: "EnsembleResult") -> Any:
    """Members and candidates, differences, disagreement, other validations, the forecast."""
    values = ensemble_json(result)
    _, *others = values["cv"]
    parts = [_blend(values)]
    if len(values["members"]) > 1:
        parts += [_differences(values), _disagreement(values)]
    parts += [
        f"in seen sessions, as a random split would say: {percent(other['accuracy'])}"
        for other in others
    ]
    parts += [_marks(member) for member in values["members"] if member.get("learned_from")]
    return page(*parts, forecast_line(result.forecast, result.edition is not None))


def _marks(member: dict[str, Any]) -> str:
    """What a member learned from beside its labelled utterances."""
    sound = ", and the test set's own sound" if member["transductive"] else ""
    return f"{member['name']} learned from {', '.join(member['learned_from'])}{sound}"


def _blend(values: dict[str, Any]) -> Any:
    """A row for each member and each candidate; folds are said once where all have as many."""
    rows, validation = _member_rows(values), values["cv"][0]
    if len(values["members"]) > 1:
        rows += _candidate_rows(values)
    columns = ["#", "member", "folds>", "T>", "weight>", "out of fold>", "s.e.>", "95 %", ""]
    counts, folds = {len(member["folds"]) for member in values["members"]}, "folds"
    if len(counts) == 1:
        folds = f"{(count := counts.pop())} fold{'s' * (count != 1)}"
        columns, rows = [*columns[:2], *columns[3:]], [(*row[:2], *row[3:]) for row in rows]
    title = f"{values['version']}: {folds} by {validation['kind']}, {validation['n']:,} utterances"
    return table(columns, rows, title)


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
            *accuracy_cells(member["oof"]),
            "best" if member["oof"]["accuracy"] == best else "",
        )
        for number, (member, weight) in enumerate(
            zip(members, values["weights"], strict=True), start=1
        )
    ]


def _candidate_rows(values: dict[str, Any]) -> list[tuple[str, ...]]:
    remark = {values["method"]: "chosen"}
    return [
        ("", name, "", "", "", *accuracy_cells(accuracy), remark.get(name, ""))
        for name, accuracy in values["candidates"].items()
    ]


def _differences(values: dict[str, Any]) -> Any:
    method = values["method"]
    differences = {f"{method} minus {name}": d for name, d in values["differences"].items()}
    return _paired_table("difference", differences)


def _disagreement(values: dict[str, Any]) -> Any:
    """Percent of the utterances; members by their number."""
    rows = [
        (str(k), *("" if i == k - 1 else f"{100 * share:.0f}" for i, share in enumerate(shares)))
        for k, shares in enumerate(values["disagreement"], 1)
    ]
    numbers = (f"{k}>" for k in range(1, len(rows) + 1))
    return table(("#", *numbers), rows, "Disagreement of two members, % of the utterances")


def render_comparison(comparison: "Comparison") -> Any:
    """A row for either side, and their difference."""
    values = comparison_json(comparison)
    rows = [(run["path"], len(run["members"]), *accuracy_cells(run)) for run in values["runs"]]
    title = f"Out of fold by {values['by']}, {values['runs'][0]['n']:,} utterances"
    columns = ("runs", "members>", "accuracy>", "s.e.>", "95 %")
    difference = {"first minus second": values["first_less_second"]}
    return page(table(columns, rows, title), _paired_table("", difference))


def _paired_table(heading: str, differences: dict[str, dict[str, Any]]) -> Any:
    columns = (heading, "points>", "95 %, by speaker", "won, lost", "p>", "")
    return table(columns, [(name, *_paired_cells(d)) for name, d in differences.items()])


def accuracy_cells(accuracy: dict[str, Any]) -> tuple[str, str, str]:
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
