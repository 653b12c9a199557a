"""hw4 split, train, predict."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.estimate import show_estimate
from kaggle_hw4.cli.hints import after_split, after_training, all_runs
from kaggle_hw4.cli.jobs import showing
from kaggle_hw4.cli.options import (
    AsJson,
    Device,
    DryRun,
    GroupsOfRuns,
    Jobs,
    NamedVariant,
    On,
    Precision,
    Root,
    RunsOfVariants,
    Seeds,
    Settings,
    SlurmOptions,
    SplitName,
    StopAfter,
    TimeLimit,
    Variant,
    choice,
    folders_of_runs,
    one_variant,
    stopping,
)
from kaggle_hw4.cli.output import page, percent, plain, say, show, table
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import bars
from kaggle_hw4.torchrun import this_process
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.execution.placement import Placement
    from kaggle_hw4.execution.spec import Asked
    from kaggle_hw4.ranks import Ranks
    from kaggle_hw4.stages.split import SplitSummary
    from kaggle_hw4.stages.train import FinishedRun, TimeGiven

Fold = Annotated[
    list[str] | None, typer.Option(metavar="FOLD", help="One fold, else 0; may be repeated.")
]
FoldList = Annotated[
    str | None, typer.Option(metavar="FOLDS", help="Several: all, or a list such as 0,1.")
]


def add_to(app: typer.Typer) -> None:
    app.command("split")(split_command)
    app.command("train")(train_command)
    app.command("predict")(predict_command)


def split_command(
    folds: Annotated[int, typer.Option(min=2, metavar="N", help="The number of folds.")] = 5,
    by: Annotated[
        str, choice("auto", "session", "utterance", text="What a fold holds out; auto measures it.")
    ] = "auto",
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, metavar="SEED", help="Another seed, other folds.")
    ] = 0,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Split the training utterances into folds.

    By session, utterances of one recording session (clusters of their channel statistics) stay
    together, so that validation is on unseen sessions. By utterance, folds share sessions with the
    training set and accuracies come out too high where the test set is of other sessions. Which of
    them resembles the test set is measured, unless one is named.

    Example: hw4 split --folds 5
    """
    from kaggle_hw4.stages.split import split

    place = Workspace.at(workspace)
    with bars("split") as bar:
        summary = split(place, by, folds, seed, bar).summary()
    path = place.shown(summary.path)
    show(
        summary,
        as_json,
        lambda: _split_text(summary, path),
        after_split(place, summary.name),
    )


def _split_text(summary: "SplitSummary", path: str) -> Any:
    clusters = f", {summary.sessions} session clusters" if summary.sessions else ""
    lines = [f"{path}: folds of {', '.join(map(str, summary.sizes))} utterances{clusters}"]
    if summary.reason:
        lines.append(f"by {summary.by}: {summary.reason}")
    if summary.share < 1:
        lines.append(
            f"A session of the test set has about {summary.share:.0%} as many utterances as one of "
            "these folds; for validation, labels are spread over subsets as dense as that."
        )
    return page(*lines)


def train_command(
    variant: Variant = None,
    named: NamedVariant = None,
    fold: Fold = None,
    folds: FoldList = None,
    seed: Seeds = None,
    split: SplitName = None,
    settings: Settings = None,
    pseudo_labels: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Train on these pseudo-labels of the test set, too."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(metavar="RUNS", help="Learn the soft targets of runs, or a version's."),
    ] = None,
    time_limit: TimeLimit = None,
    stop_after: StopAfter = None,
    dry_run: DryRun = False,
    on: On = None,
    jobs: Jobs = None,
    slurm: SlurmOptions = None,
    device: Device = "auto",
    precision: Precision = "auto",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Train a variant, or resume where it stopped.

    Finished runs are left alone; one that was stopped or killed resumes from its checkpoint. With a
    time limit, steps and networks are chosen so that all runs and their predictions are done in it;
    the time between a kill and the same command does not count. Pseudo-labels and teachers are keys
    of the recipe: docs/pretraining.md. Started by torchrun, several processes train each run
    together: docs/scale.md.

    Example: hw4 train boss --fold 0 --seed 0 -s networks.d_model=128
    """
    from kaggle_hw4.execution.placement import find_placement
    from kaggle_hw4.execution.spec import Asked, RunSpec
    from kaggle_hw4.stages.teach import make_teacher, source_settings
    from kaggle_hw4.stages.train import time_given
    from kaggle_hw4.stages.versions import runs_of

    given, place = time_given(time_limit), Workspace.at(workspace)
    placement = find_placement(on, jobs, slurm)
    name = one_variant(variant, named, "hw4 train boss --folds all")
    taught = runs_of(place, (path for name in teacher or () for path in place.groups_of_runs(name)))
    keys = (*(settings or ()), *source_settings(pseudo_labels, taught, split))
    spec = RunSpec(str(place.root), name, keys, split, device=device, precision=precision)
    asked = Asked(spec, chosen_folds(fold or [], folds), tuple(seed or [0]))
    if dry_run:
        if not this_process().rank:
            show_estimate([asked], given, placement, as_json)
        return
    if taught:
        with bars("teacher") as bar:
            make_teacher(asked, taught, bar)
    with stopping(stop_after):
        _train(asked, given, placement, as_json)


def _train(
    asked: "Asked", given: "TimeGiven | None", placement: "Placement | None", as_json: bool
) -> None:
    from kaggle_hw4.stages.train import in_time, train

    with (
        showing(placement, "train") as (monitor, watch),
        _joined(asked.spec.device) as ranks,
        in_time([asked], given, monitor, placement, ranks) as ([asked], executor),
    ):
        runs = train(asked, executor, monitor.bar, watch)
    if ranks is None or ranks.is_first:
        _say_known([each.run.name for each in runs if each.run.name not in monitor.begun])
        _show_runs(runs, as_json, after_training(asked.spec, runs))


@contextmanager
def _joined(device: str) -> "Iterator[Ranks | None]":
    """Yield what the processes that torchrun has started are to one another."""
    if this_process().count == 1:
        yield None  # without torch: a misspelt recipe is to end at once
        return
    from kaggle_hw4.ranks import joined

    with joined(device) as ranks:
        yield ranks


def _say_known(names: list[str]) -> None:
    """Runs that were finished before: nothing was done for them."""
    if names:
        say(f"trained before, left as they are: {', '.join(names)}")


def chosen_folds(single: list[str], many: str | None) -> list[int] | None:
    """The folds asked for; None is all of them, fold 0 what one gets for saying nothing."""
    words = [word for part in (*single, many or "") for word in part.split(",") if word]
    if "all" in words:
        return None
    for word in words:
        if not word.isdecimal():
            what = f"{word}: give 'all' or numbers such as 0,1"
            raise UsageError(what, parameter="fold" if word in single else "folds")
    return sorted({int(word) for word in words}) or [0]


def predict_command(
    runs: GroupsOfRuns = None,
    variants: RunsOfVariants = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "-s", "--set", metavar="predict.KEY=VALUE", help="Another averaging; may be repeated."
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Predict finished runs with another averaging.

    Their out-of-fold and test logits are replaced.

    Example: hw4 predict runs/* -s predict.segments=5 -s 'predict.frames=[200,300]'
    """
    from kaggle_hw4.stages.predict import predict

    place = Workspace.at(workspace)
    folders = folders_of_runs(place, runs, variants, "hw4 predict runs/*")
    with bars("predict") as bar:
        predicted = predict(place, folders, settings or [], device, precision, bar, _say_unfinished)
    _show_runs(predicted, as_json, f"hw4 ensemble {all_runs(place)}")


def _say_unfinished(name: str) -> None:
    say(f"left out: {name} is not finished")


def render_runs(runs: "list[FinishedRun]") -> Any:
    """A row for each run.

    By session, accuracy is that of whole held-out sessions; seen-session accuracy is that of
    utterances held out of the sessions trained on.
    """
    rows = [
        (
            each.run.name,
            each.manifest.folds.name,
            percent(each.manifest.validation.accuracy),
            f"{each.manifest.validation.n:,}",
            f"{each.manifest.validation.loss:.3f}",
            percent(each.manifest.seen_session.accuracy) if each.manifest.seen_session else "",
            f"{each.manifest.seconds:.0f} s",
        )
        for each in runs
    ]
    columns = ("run", "folds", "accuracy>", "of>", "log-loss>", "seen-session>", "trained>")
    return table(columns, rows)


def _show_runs(runs: "list[FinishedRun]", as_json: bool, then: str) -> None:
    value = [
        {"run": each.run.name, "folder": str(each.run.folder), **plain(each.manifest)}
        for each in runs
    ]
    show(value, as_json, lambda: render_runs(runs), then)
