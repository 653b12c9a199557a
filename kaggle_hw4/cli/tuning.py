"""hw4 tune and hw4 tune show."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from kaggle_hw4.cli.options import AsJson, Device, Root, Settings
from kaggle_hw4.cli.output import page, show
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace, shown

if TYPE_CHECKING:
    from kaggle_hw4.cli.watching import LiveTable
    from kaggle_hw4.tuning.plan import Plan
    from kaggle_hw4.tuning.summary import StudySummary

app = typer.Typer(invoke_without_command=True)
Storage = Annotated[
    str | None,
    typer.Option(help="postgresql://… to share the study between machines; else a file."),
]


@app.callback()
def tune_command(
    context: typer.Context,
    variant: Annotated[
        str | None, typer.Option(help="A name in pipelines/variants, or a .toml file.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="In all, finished ones included.")] = 50,
    objective: Annotated[str, typer.Option(help="session, utterance or logloss.")] = "session",
    space: Annotated[str | None, typer.Option(help="Else studies/spaces/VARIANT.toml.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials in parallel; they share threads.")] = 1,
    finalists: Annotated[int, typer.Option(min=1, help="Retrained on all folds and seeds.")] = 3,
    fold: Annotated[int, typer.Option(min=0, help="The one the search validates on.")] = 0,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, max=2**32 - 1, help="Of the finals; may be repeated.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which fold table, if there are two.")] = None,
    study: Annotated[str | None, typer.Option(help="Its name; else the variant's.")] = None,
    storage: Storage = None,
    heartbeat: Annotated[int, typer.Option(min=1, help="Seconds between heartbeats.")] = 20,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate the time.")] = False,
    settings: Settings = None,
    device: Device = "auto",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Search for a better recipe; the same command resumes it.

    Optuna's TPE and Hyperband search on one fold, each trial in its own process. Then the best
    trials and the baseline, which is the variant as it is, are retrained on all folds and seeds,
    and the winner is written as pipelines/variants/VARIANT_tuned.toml. Their runs are in
    studies/STUDY/runs: an ensemble of runs/* leaves them out.

    Example: hw4 tune --variant boss --trials 50
    """
    if context.invoked_subcommand:
        return
    if variant is None:
        raise UsageError("--variant is missing", "hw4 tune --variant boss --trials 50")
    from kaggle_hw4.tuning.plan import make_plan

    plan = make_plan(
        Workspace.at(workspace),
        variant,
        settings or [],
        space=space,
        objective=objective,
        split=split,
        name=study,
        trials=trials,
        jobs=jobs,
        finalists=finalists,
        fold=fold,
        seeds=tuple(dict.fromkeys(seed or [0])),
        device=device,
    )
    if dry_run:
        command = f"hw4 tune --variant {variant} --trials {trials}"
        _estimate(plan, as_json, command)
    else:
        _tune(plan, storage, heartbeat, as_json)


def _estimate(plan: "Plan", as_json: bool, command: str) -> None:
    from kaggle_hw4.cli.study import render_cost
    from kaggle_hw4.tuning.estimate import estimate

    cost = estimate(plan)
    lines = render_cost(cost, plan.trials, plan.jobs).splitlines()
    show(cost, as_json, lambda: page(*lines), command)


def _tune(plan: "Plan", storage: str | None, heartbeat: int, as_json: bool) -> None:
    from kaggle_hw4.tuning.tune import tune

    with live_table() as monitor:
        summary = tune(plan, storage, heartbeat, monitor)
    winner = summary.finals.winner.trial if summary.finals and summary.finals.variant else None
    runs = None if winner is None else summary.runs.get(winner)
    _show(summary, as_json, f"hw4 ensemble {shown(runs)}" if runs else f"hw4 tune show {plan.name}")


@app.command("show")
def show_command(
    study: Annotated[str, typer.Argument(help="Its name: the variant's, if none was given.")],
    storage: Storage = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Show a study: best trials, what mattered, hit edges, finals.

    Example: hw4 tune show boss
    """
    from kaggle_hw4.tuning.plan import check_study_name
    from kaggle_hw4.tuning.tune import read_summary

    folder = Workspace.at(workspace).studies / check_study_name(study)
    _show(read_summary(folder, storage), as_json)


def _show(summary: "StudySummary", as_json: bool, command: str = "") -> None:
    from kaggle_hw4.cli.study import render_summary

    show(summary, as_json, lambda: render_summary(summary), command)


@contextmanager
def live_table() -> Iterator["LiveTable"]:
    from kaggle_hw4.cli.watching import LiveTable

    with bars() as bar, LiveTable(bar("finals")) as table:
        yield table
