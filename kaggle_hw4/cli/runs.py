"""hw4 runs: what is there, what two differ in, importing, and freeing the room of checkpoints."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.hints import next_step, same_command
from kaggle_hw4.cli.options import AsJson, Root, choice
from kaggle_hw4.cli.output import page, percent, show, table
from kaggle_hw4.errors import UsageError
from kaggle_hw4.pace import in_words
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace, shown

if TYPE_CHECKING:
    from kaggle_hw4.stages.clean import Freed
    from kaggle_hw4.stages.import_runs import Imported
    from kaggle_hw4.stages.list_pretrainings import PretrainingState
    from kaggle_hw4.stages.list_runs import RunGroup, RunsDifference

app = typer.Typer()
OneRecipe = Annotated[
    str, typer.Argument(metavar="RUNS", help="A folder of runs of one recipe, or its variant.")
]


@app.callback(invoke_without_command=True)
def list_command(
    context: typer.Context,
    variant: Annotated[
        str | None, typer.Option(metavar="VARIANT", help="Only runs of this variant.")
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only where a run is not finished.")
    ] = False,
    sort: Annotated[
        str,
        choice("name", "session", "seen-session", "time", "size", "date", text="The best first."),
    ] = "name",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """List what has been trained.

    Folds and seeds done, accuracies, time, size, and the settings in which a recipe differs from
    its variant. The runs of a study's finals are listed as that study's.

    Example: hw4 runs --variant boss --sort session
    """
    if context.invoked_subcommand is not None:
        return
    from kaggle_hw4.stages.list_runs import list_runs

    place = Workspace.at(workspace)
    groups = list_runs(place, variant, unfinished, sort)
    asked = variant is None and not unfinished
    then = next_step(place) if groups or asked else ""
    none = f"no{' unfinished' * unfinished} runs" + (f" of {variant}" if variant else "")
    show(groups, as_json, lambda: _list(groups) if groups else none, then)


def _list(groups: "list[RunGroup]") -> Any:
    """A row for each recipe; below the table what it differs in, and what is not finished."""
    validation = ("session>", "utterance>", "seen-session>")
    columns = ("runs", "folds", "seeds", *validation, "time>", "MB>", "whose")
    lines = [line for group in groups for line in _notes(group)]
    return page(table(columns, [_row(group) for group in groups]), *lines)


def _row(group: "RunGroup") -> tuple[object, ...]:
    of = f" of {group.fold_count}" if group.fold_count else ""
    return (
        group.folder.name,
        f"{len(group.folds)}{of}",
        ", ".join(map(str, group.seeds)),
        percent(group.validation) if group.by == "session" else "",
        percent(group.validation) if group.by == "utterance" else "",
        percent(group.seen_session),
        in_words(group.seconds) if group.finished else "",
        f"{group.bytes / 1e6:,.1f}",
        group.owner or "yours",
    )


def _notes(group: "RunGroup") -> Iterator[str]:
    name = group.folder.name
    if group.settings is None:
        yield f"{name}: there is no variant {group.variant} any more"
    elif group.settings:
        yield f"{name}: -s {' -s '.join(group.settings)}"
    for run in group.unfinished:
        state = "is being trained" if run.running else "is not finished"
        yield f"{run.name} {state}: step {run.step:,} of {run.steps:,}"
    yield from group.problems


@app.command("diff")
def diff_command(
    first: OneRecipe,
    second: OneRecipe,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Show in which settings two groups of runs differ.

    And how each scores; `hw4 compare` says whether the difference is more than noise.

    Example: hw4 runs diff runs/strong-* runs/boss-*
    """
    from kaggle_hw4.stages.list_runs import diff_runs

    place = Workspace.at(workspace)
    difference = diff_runs(place, _one_recipe(place, first), _one_recipe(place, second))
    then = f"hw4 compare {shown(difference.first.folder)} {shown(difference.second.folder)}"
    show(difference, as_json, lambda: _difference(difference), then)


def _one_recipe(place: Workspace, name: str) -> Path:
    """The folder of runs that is named, by its path or as the only one of a variant."""
    folders = place.groups_of_runs(name)
    if len(folders) > 1:
        what = f"{name} has been trained by {len(folders)} recipes"
        raise UsageError(what, f"name one: {', '.join(map(shown, folders))}")
    return folders[0]


def _difference(difference: "RunsDifference") -> Any:
    sides = (difference.first, difference.second)
    rows: list[tuple[object, ...]] = [
        (setting.key, *("" if v is None else str(v) for v in (setting.first, setting.second)))
        for setting in difference.settings
    ]
    rows += [
        ("fold table", *(side.split for side in sides)),
        ("folds", *(", ".join(map(str, side.folds)) for side in sides)),
        ("seeds", *(", ".join(map(str, side.seeds)) for side in sides)),
        ("validation", *(percent(side.validation) for side in sides)),
        ("seen-session", *(percent(side.seen_session) for side in sides)),
        ("time", *(in_words(side.seconds) for side in sides)),
    ]
    return table(("", *(f"{side.folder.name}>" for side in sides)), rows)


@app.command("export")
def export_command(
    context: typer.Context,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs, or folders of runs; else all there are.", show_default=False),
    ] = None,
    form: Annotated[
        str, choice("csv", "tensorboard", text="One table, or event files.", flag="--format")
    ] = "csv",
    follow: Annotated[
        bool, typer.Option("--follow", help="For TensorBoard, while there is a training.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Where to; else metrics.csv or tensorboard in the workspace."
        ),
    ] = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Write what runs logged as CSV or for TensorBoard.

    Loss, accuracy, learning rate and validation by step, of finished runs and of those that train
    just now. With --follow, TensorBoard's files grow with the training, in another terminal.
    TensorBoard's files need pip install 'kaggle_hw4[tensorboard]'

    Example: hw4 runs export --follow
    """
    from kaggle_hw4.cli.following import follow_runs, logs_hint
    from kaggle_hw4.stages.export import export

    place = Workspace.at(workspace)
    paths = runs or place.run_folders or [place.runs]
    if follow and form == "csv":
        if str(context.get_parameter_source("form")) != "ParameterSource.DEFAULT":
            raise UsageError("a CSV is written once", "leave --follow out", "format")
        form = "tensorboard"
    if follow:
        exported = follow_runs(place, paths, to)
    else:
        with bars("export"):
            exported = export(place, paths, form, to)
    path = shown(exported.path)
    text = f"{path}: {exported.lines:,} lines of {exported.runs:,} runs"
    show(exported, as_json, lambda: text, logs_hint(path) * (form != "csv"))


@app.command("pretrained")
def pretrained_command(workspace: Root = None, as_json: AsJson = False) -> None:
    """List the encoders that were trained without labels.

    Example: hw4 runs pretrained
    """
    from kaggle_hw4.stages.list_pretrainings import list_pretrainings

    states = list_pretrainings(Workspace.at(workspace))
    show(states, as_json, lambda: _pretrained(states) if states else "no pretrainings")


def _pretrained(states: "list[PretrainingState]") -> Any:
    """A row for each that is finished; below the table, what is not."""
    rows, lines = [], []
    for each in states:
        if manifest := each.manifest:
            explained, seconds = percent(manifest.explained), in_words(manifest.seconds)
            frames = "training and test set" if manifest.transductive else "training set"
            rows.append((each.run, manifest.folds.name, frames, explained, seconds))
        elif each.problem:
            lines.append(f"{each.run}: {each.problem}")
        else:
            state = "is being trained" if each.running else "is not finished"
            lines.append(f"{each.run} {state}: step {each.step:,} of {each.steps:,}")
    return page(table(("pretraining", "folds", "frames of", "explained>", "time>"), rows), *lines)


@app.command("import")
def import_command(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUNS", help="Runs of another machine, or folders of them."),
    ],
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Take over finished runs that another machine has trained.

    They must be of this corpus and of a fold table that is here, and their files as they were
    written; what is here already stays.

    Example: hw4 runs import /mnt/other/runs
    """
    from kaggle_hw4.stages.import_runs import import_runs

    place = Workspace.at(workspace)
    with bars("import") as bar:
        imported = import_runs(place, folders, bar)
    show(imported, as_json, lambda: page(*_imported(imported)), next_step(place))


def _imported(imported: "Imported") -> Iterator[str]:
    known = f", {len(imported.known)} were here already" if imported.known else ""
    yield f"{len(imported.runs)} runs imported{known}"
    for name in imported.unfinished:
        yield f"left out: {name} is not finished"


@app.command("clean")
def clean_command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs, or folders of runs; else all there are."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; else only say.")] = False,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Free the disk space of finished runs' checkpoints.

    Without --yes it only says how much that is. The checkpoint of an unfinished run stays.

    Example: hw4 runs clean --yes
    """
    from kaggle_hw4.stages.clean import clean

    place = Workspace.at(workspace)
    freed = clean(runs or place.run_folders or [place.runs], yes)
    again = same_command(plus="--yes") if freed.checkpoints and not yes else ""
    show(freed, as_json, lambda: _freed(freed), again)


def _freed(freed: "Freed") -> str:
    verb = "freed" if freed.deleted else "could be freed"
    count = len(freed.checkpoints)
    return f"{count} checkpoint{'s' * (count != 1)}, {freed.bytes / 1e6:.1f} MB {verb}"
