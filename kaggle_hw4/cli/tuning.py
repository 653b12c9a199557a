"""hw4 tune and hw4 tune show."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from kaggle_hw4.cli.hints import same_command
from kaggle_hw4.cli.options import (
    AsJson,
    Device,
    DryRun,
    Precision,
    Root,
    Seeds,
    Settings,
    SlurmOptions,
    SplitName,
    StopAfter,
    TimeLimit,
    VariantOrCommand,
    choice,
    one_variant,
    stopping,
)
from kaggle_hw4.cli.output import page, show
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace, shown

if TYPE_CHECKING:
    from kaggle_hw4.cli.watching import LiveTable
    from kaggle_hw4.stages.train import TimeGiven
    from kaggle_hw4.tuning.plan import Plan
    from kaggle_hw4.tuning.summary import StudySummary

app = typer.Typer(
    cls=VariantOrCommand,
    invoke_without_command=True,
    subcommand_metavar="VARIANT | show STUDY",
)
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="postgresql://… to share the study between machines; else a file."
    ),
]
NamedVariant = Annotated[
    str | None,
    typer.Option(metavar="VARIANT", help="A name in pipelines/variants, or a .toml file."),
]
Trials = Annotated[
    int, typer.Option(min=1, metavar="N", help="Trials in all, finished ones included.")
]
Objective = Annotated[
    str, choice("session", "utterance", "logloss", text="Accuracy by either, or log-loss.")
]
SpaceName = Annotated[
    str | None,
    typer.Option(metavar="SPACE", help="The search space; else studies/spaces/VARIANT.toml."),
]
On = Annotated[
    str | None,
    choice("local", "slurm", "ray", text="Where trials and finals are trained; else here."),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Trials in parallel; else 1, on local one a device, on slurm and ray 4.",
    ),
]
Finalists = Annotated[
    int, typer.Option(min=1, metavar="N", help="Trials retrained on all folds and seeds.")
]
Fold = Annotated[
    int, typer.Option(min=0, metavar="FOLD", help="The fold that the search validates on.")
]
StudyName = Annotated[
    str | None, typer.Option(metavar="NAME", help="The study's name; else the variant's.")
]
Heartbeat = Annotated[
    int, typer.Option(min=1, metavar="SECONDS", help="Between two heartbeats to the server.")
]


@app.callback()
def tune_command(
    context: typer.Context,
    variant: NamedVariant = None,
    trials: Trials = 50,
    objective: Objective = "session",
    space: SpaceName = None,
    on: On = None,
    jobs: Jobs = None,
    slurm: SlurmOptions = None,
    finalists: Finalists = 3,
    fold: Fold = 0,
    seed: Seeds = None,
    split: SplitName = None,
    study: StudyName = None,
    storage: Storage = None,
    heartbeat: Heartbeat = 20,
    time_limit: TimeLimit = None,
    stop_after: StopAfter = None,
    dry_run: DryRun = False,
    settings: Settings = None,
    device: Device = "auto",
    precision: Precision = "auto",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Search for a better recipe; the same command resumes it.

    Optuna's TPE and Hyperband search on one fold, each trial in its own process. Then the best
    trials and the variant as it is are retrained on all folds and seeds, in studies/STUDY/runs, and
    the winner is written as pipelines/variants/VARIANT_tuned.toml.

    Example: hw4 tune boss --trials 50
    """
    if context.invoked_subcommand:
        return
    from kaggle_hw4.execution.placement import HERE, find_placement
    from kaggle_hw4.stages.train import time_given
    from kaggle_hw4.tuning.plan import make_plan

    placement = find_placement(on, jobs, slurm) or HERE
    given, seeds = time_given(time_limit), tuple(dict.fromkeys(seed or [0]))
    with bars("tune") as bar:
        plan = make_plan(
            Workspace.at(workspace),
            one_variant(variant, None, "hw4 tune --variant boss --trials 50"),
            settings or [],
            space=space, objective=objective, split=split, name=study,
            trials=trials, finalists=finalists, fold=fold, seeds=seeds,
            placement=placement, device=device, precision=precision,
            bar=bar,
        )  # fmt: skip
    if dry_run:
        _estimate(plan, given, as_json)
        return
    with stopping(stop_after):
        _tune(plan, storage, heartbeat, given, as_json)


def _estimate(plan: "Plan", given: "TimeGiven | None", as_json: bool) -> None:
    from kaggle_hw4.cli.study import render_cost

    with bars("estimate") as bar:
        from kaggle_hw4.tuning.estimate import estimate

        cost = estimate(plan, bar)
    trials = plan.trials if given is None else cost.trials_in(given.seconds, plan.trials)
    search = cost.search * trials / plan.trials
    cost = replace(cost, search=search, total=search + cost.finals)
    lines = render_cost(cost, trials, cost.jobs).splitlines()
    show(cost, as_json, lambda: page(*lines), same_command("--dry-run"))


def _tune(
    plan: "Plan",
    storage: str | None,
    heartbeat: int,
    given: "TimeGiven | None",
    as_json: bool,
) -> None:
    from kaggle_hw4.tuning.tune import tune

    with live_table() as monitor:
        summary = tune(plan, storage, heartbeat, monitor, given)
    winner = summary.finals.winner.trial if summary.finals and summary.finals.variant else None
    runs = None if winner is None else summary.runs.get(winner)
    _show(summary, as_json, f"hw4 ensemble {shown(runs)}" if runs else show_again(plan, storage))


def show_again(plan: "Plan", storage: str | None) -> str:
    """The command that shows the study; a password in the address is left for the user to type."""
    if storage is None:
        return f"hw4 tune show {plan.name}"
    from kaggle_hw4.tuning.server import noted_address

    return f"hw4 tune show {plan.name} --storage {noted_address(plan.folder)}"


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
