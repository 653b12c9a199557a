"""From the folders of runs to what is there, and to what two of them differ in."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kaggle_hw4.errors import DataError, Hw4Error, RecipeError, UsageError
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.recipe import Recipe
    from kaggle_hw4.run_manifest import Manifest
    from kaggle_hw4.runs import Run

Values = Mapping[str, Any]  # a section of a recipe


@dataclass(frozen=True)
class Unfinished:
    """A run that is being trained, or was stopped."""

    name: str
    step: int
    steps: int
    running: bool


@dataclass(frozen=True)
class RunGroup:
    """The runs of one recipe on one corpus and fold table: its folds and seeds."""

    folder: Path
    variant: str
    settings: tuple[str, ...] | None  # in which the recipe differs from the variant; None: gone
    owner: str | None  # the study whose finals they are; None: the user's own
    split: str | None  # the fold table; None while no run is finished
    folds: tuple[int, ...]  # finished, of any seed
    fold_count: int | None
    seeds: tuple[int, ...]
    finished: int
    by: str | None  # what the folds hold out
    validation: float | None  # accuracy, the mean over the finished runs, weighted by utterances
    seen_session: float | None
    seconds: float  # of training, all runs together
    bytes: int
    changed: float  # when the newest of its files was written, as time.time()
    unfinished: tuple[Unfinished, ...]
    problems: tuple[str, ...]  # runs that cannot be read


@dataclass(frozen=True)
class Setting:
    """A key that two recipes set differently; None where one lacks it."""

    key: str
    first: Any
    second: Any


@dataclass(frozen=True)
class RunsDifference:
    """In what two groups of runs differ."""

    first: RunGroup
    second: RunGroup
    settings: tuple[Setting, ...]


ORDERS: Final[dict[str, Callable[[RunGroup], Any]]] = {
    "name": lambda group: (group.folder.name, str(group.folder)),
    "session": lambda group: -(group.validation or 0),
    "seen-session": lambda group: -(group.seen_session or 0),
    "time": lambda group: -group.seconds,
    "size": lambda group: -group.bytes,
    "date": lambda group: -group.changed,
}


def list_runs(
    workspace: Workspace, variant: str | None = None, unfinished: bool = False, sort: str = "name"
) -> list[RunGroup]:
    """What there is in `workspace`, of one `variant` or of all, the best, longest, largest or
    newest first; with `unfinished` only where some run is.

    Raises UsageError for another order than those of ORDERS.
    """
    from kaggle_hw4.runs import find_runs

    if sort not in ORDERS:
        raise UsageError(f"cannot sort by {sort!r}: choose one of {', '.join(ORDERS)}")
    groups = group(workspace, find_runs(workspace.run_folders))
    chosen = [
        g for g in groups if variant in (None, g.variant) and (g.unfinished or not unfinished)
    ]
    if variant and not chosen:
        workspace.variant(variant)  # names a slip of the hand
    return sorted(chosen, key=ORDERS[sort])


def diff_runs(workspace: Workspace, first: Path, second: Path) -> RunsDifference:
    """In what the runs in two folders differ; each of one recipe. DataError for several."""
    from kaggle_hw4.runs import find_runs

    sides, recipes = [], []
    for path in (first, second):
        runs = find_runs([path])
        groups = group(workspace, runs)
        if len(groups) != 1:
            count = f"{len(groups)} recipes" if groups else "no runs"
            raise DataError(f"{path} holds {count}", "name the runs of one: a folder in runs/")
        sides.append(groups[0])
        recipes.append(runs[0].recipe())
    return RunsDifference(sides[0], sides[1], tuple(differences(*recipes)))


def group(workspace: Workspace, runs: Iterable["Run"]) -> list[RunGroup]:
    """`runs` by the folder that they are in."""
    folders: dict[Path, list[Run]] = {}
    for run in runs:
        folders.setdefault(run.folder.parent, []).append(run)
    return [_group(workspace, folder, members) for folder, members in folders.items()]


def _group(workspace: Workspace, folder: Path, runs: list["Run"]) -> RunGroup:
    # What its runs say; one that is damaged is named, and the rest is kept.
    manifests: list[Manifest] = []
    unfinished, problems = [], []
    for run in sorted(runs, key=lambda run: str(run.folder)):
        try:
            if run.done:
                manifests.append(run.manifest())
            else:
                unfinished.append(_progress(run))
        except Hw4Error as error:
            problems.append(f"{run.name}: {error}")
    tables = {(m.folds.name, m.folds.by, m.folds.count) for m in manifests}
    split, by, count = tables.pop() if len(tables) == 1 else (None, None, None)

    # What they have taken.
    files = [file.stat() for run in runs for file in run.folder.iterdir() if file.is_file()]
    return RunGroup(
        folder=folder,
        variant=runs[0].variant,
        settings=_settings(workspace, runs[0]),
        owner=folder.parent.parent.name if folder.parent != workspace.runs else None,
        split=split,
        folds=tuple(sorted({m.fold for m in manifests})),
        fold_count=count,
        seeds=tuple(sorted({m.seed for m in manifests})),
        finished=len(manifests),
        by=by,
        validation=_mean((m.validation.accuracy, m.validation.n) for m in manifests),
        seen_session=_mean(
            (m.seen_session.accuracy, m.seen_session.n) for m in manifests if m.seen_session
        ),
        seconds=sum(m.seconds for m in manifests),
        bytes=sum(file.st_size for file in files),
        changed=max((file.st_mtime for file in files), default=0.0),
        unfinished=tuple(unfinished),
        problems=tuple(problems),
    )


def _progress(run: "Run") -> Unfinished:
    from kaggle_hw4.locks import is_locked

    *_, last = [{"step": 0.0}, *run.logged()]
    steps = int(last.get("steps", run.recipe().schedule.steps))  # another, with a time limit
    return Unfinished(run.name, int(last["step"]), steps, is_locked(run.lock))


def _mean(pairs: Iterable[tuple[float, int]]) -> float | None:
    """The mean of (accuracy, n), weighted by n; None of none."""
    weighted = list(pairs)
    total = sum(n for _, n in weighted)
    return sum(accuracy * n for accuracy, n in weighted) / total if total else None


def _settings(workspace: Workspace, run: "Run") -> tuple[str, ...] | None:
    """In which the run's recipe differs from its variant as it is now."""
    import json

    from kaggle_hw4.recipe import read_recipe

    for name in (run.variant, f"peers/{run.variant}", f"zoo/{run.variant}"):
        try:
            variant = read_recipe(workspace.variant(name))
            return tuple(
                f"{each.key}={json.dumps(each.second)}"
                for each in differences(variant, run.recipe())
            )
        except RecipeError:
            continue
    return None


def differences(first: "Recipe", second: "Recipe") -> Iterator[Setting]:
    """The keys that two recipes set differently. One that all networks set alike in each of them is
    `networks.key`, else `networks.0.key` and so on.
    """
    before, after = first.sections(), second.sections()
    for name in dict.fromkeys([*before, *after]):  # some sections are optional
        compare = _of_networks if name == "networks" else _of_section
        yield from compare(name, before.get(name, {}), after.get(name, {}))


def _of_networks(name: str, first: list[Values], second: list[Values]) -> Iterator[Setting]:
    empty: Values = {}
    pairs = zip_longest(first, second, fillvalue=empty)
    networks = [list(_of_section(name, *pair)) for pair in pairs]
    for i, settings in enumerate(networks):
        for setting in settings:
            if not all(setting in other for other in networks):
                yield replace(setting, key=setting.key.replace(name, f"{name}.{i}", 1))
            elif i == 0:
                yield setting


def _of_section(name: str, first: Values, second: Values) -> Iterator[Setting]:
    for key in dict.fromkeys([*first, *second]):
        if first.get(key) != second.get(key):
            yield Setting(f"{name}.{key}", first.get(key), second.get(key))
