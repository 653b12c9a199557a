"""hw4 tune."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, Device, Root, Settings
from kaggle_hw4.cli.output import show, table
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace

app = typer.Typer(invoke_without_command=True)
WIDE = 4  # trials beside each other in a table
Url = Annotated[
    str | None, typer.Option("--storage", help="postgresql://… to share it; else a file here.")
]


@app.callback()
def tune(
    context: typer.Context,
    variant: Annotated[
        str | None, typer.Option(help="A name in pipelines/variants, or a .toml file.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="In all, those told already included.")] = 50,
    objective: Annotated[str, typer.Option(help="session, utterance or logloss.")] = "session",
    space: Annotated[str | None, typer.Option(help="Else studies/spaces/VARIANT.toml.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials at a time; they share threads.")] = 1,
    finalists: Annotated[int, typer.Option(min=1, help="Retrained on all folds and seeds.")] = 3,
    fold: Annotated[int, typer.Option(min=0, help="That the search validates on.")] = 0,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, max=2**32 - 1, help="Of the finals; may be repeated.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which fold table, if there are two.")] = None,
    study: Annotated[str | None, typer.Option(help="Its name; else the variant's.")] = None,
    storage: Url = None,
    heartbeat: Annotated[int, typer.Option(min=1, help="Seconds between signs of life.")] = 20,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how long it takes.")] = False,
    settings: Settings = None,
    device: Device = "auto",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Search for a better recipe; the same command goes on.

    Optuna's TPE and Hyperband on one fold, each trial in a process of its own; then the best are
    retrained on all folds and seeds, beside the variant's own values, and the winner is written as
    pipelines/variants/VARIANT_tuned.toml.

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
        from kaggle_hw4.tuning.estimate import estimate

        cost = estimate(plan)
        again = f"hw4 tune --variant {variant} --trials {trials}"
        show(cost, as_json, lambda: _cost(cost, plan.trials, plan.jobs), again)
        return
    from kaggle_hw4.tuning.tune import tune as run

    with live() as watcher:
        value = run(plan, storage, heartbeat, watcher)
    written = (value["finals"] or {}).get("variant")
    then = (
        f"hw4 train --variant {Path(written).stem} --folds all"
        if written
        else f"hw4 tune show {plan.name}"
    )
    show(value, as_json, lambda: _study(value), then)


@app.command("show")
def show_study(
    study: Annotated[str, typer.Argument(help="Its name: the variant's, if none was given.")],
    storage: Url = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Show a study: its best, what mattered, hit edges.

    Example: hw4 tune show boss
    """
    from kaggle_hw4.tuning.tune import show as summary

    value = summary(Workspace.at(workspace).studies / study, storage)
    show(value, as_json, lambda: _study(value))


def _cost(cost: dict[str, Any], trials: int, jobs: int) -> str:
    return (
        f"a step     {cost['step']:.3f} s (slowest of {cost['measured']} recipes "
        f"{cost['slowest_step']:.3f} s), a validation {cost['validation']:.1f} s\n"
        f"a trial    {_time(cost['trial'])} to its end; pruning leaves about "
        f"{cost['trained_share']:.0%} of the steps\n"
        f"the search {_time(cost['search'])} for {trials} trials, {jobs} at a time\n"
        f"the finals {_time(cost['finals'])} for {cost['runs_of_the_finals']} runs\n"
        f"together   {_time(cost['total'])}"
    )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _study(value: dict[str, Any]) -> Any:
    from rich.console import Group

    told = value["trials"]
    head = (
        f"{value['study']}: {told['told']} trials told ({told['complete']} complete, "
        f"{told['pruned']} pruned, {told['failed']} failed), {told['running']} running, "
        f"{told['waiting']} waiting; {told['retried']} died and were asked again"
    )
    parts = [head, _best(value), *_edges(value), *_failures(value)]
    if value["finals"]:
        parts += [_finals(value["finals"]), _lead(value["finals"])]
    return Group(*parts)


def _best(value: dict[str, Any]) -> Any:
    """The best trials side by side, with what each parameter matters."""
    best, shares = value["best"][:WIDE], value["importances"]
    names = list(dict.fromkeys([*shares, *(n for b in best for n in b["params"])]))
    columns = ("parameter", "importance>", *(f"trial {b['trial']}>" for b in best))
    rows: list[tuple[object, ...]] = [
        (value["made_of"]["objective"], "", *(f"{b['value']:.4f}" for b in best))
    ]
    for name in names:
        share = f"{shares[name]:.2f}" if name in shares else ""
        rows.append((name, share, *(_cell(b["params"].get(name)) for b in best)))
    return table(columns, rows)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _edges(value: dict[str, Any]) -> Iterator[str]:
    for edge in value["edges"]:
        yield (
            f"the best {edge['parameter']} is the {edge['edge']} allowed "
            f"({_cell(edge['value'])}): widen it"
        )


def _failures(value: dict[str, Any]) -> Iterator[str]:
    for failure in value["failures"]:
        yield f"trial {failure['trial']} failed: {failure['why']}"


def _finals(finals: dict[str, Any]) -> Any:
    columns = ("finals", "search>", "mean>", "±>", "runs>", "lead unseen>", "±>")
    rows = [
        (
            f"trial {row['trial']}" + (" (own values)" if row["own"] else ""),
            f"{row['searched']:.4f}",
            f"{row['mean']:.4f}",
            f"{row['deviation']:.4f}",
            row["n"],
            "" if row["final_lead"] is None else f"{row['final_lead']:+.4f}",
            "" if row["error"] is None else f"{row['error']:.4f}",
        )
        for row in finals["candidates"]
    ]
    return table(columns, rows)


def _lead(finals: dict[str, Any]) -> str:
    """How much of the winner's lead over the variant's own values is selection."""
    row = finals["candidates"][0]
    if row["own"]:
        return "no finalist beats the variant's own values: they stay, and no variant is written"
    text = f"winner: trial {row['trial']}, {finals['variant']}\n"
    if row["final_lead"] is None:
        return text + "one fold and seed, the search's own: its lead may be all selection"
    error = "" if row["error"] is None else f" ± {row['error']:.4f}"
    return text + (
        f"its lead: {row['search_lead']:+.4f} where the search looked, {row['final_lead']:+.4f}"
        f"{error} on {row['pairs']} folds and seeds it did not see; the difference, "
        f"{row['search_lead'] - row['final_lead']:+.4f}, is selection"
    )


@contextmanager
def live() -> Iterator[Any]:
    from kaggle_hw4.cli.watching import Watching

    with bars() as bar, Watching(bar("finals")) as watching:
        yield watching
