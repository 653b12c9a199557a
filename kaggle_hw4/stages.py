"""The stages on a workspace, each from artifacts to an artifact: what commands and pipelines call.

A stage whose result is already there returns it. torch and its like are imported inside, so that
reading the board stays instant.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from kaggle_hw4.artifact import commit, sha256_file
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.data.packed import Packed
    from kaggle_hw4.ensemble.blend import Blend
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.runs import Run
    from kaggle_hw4.training.loop import Monitor

Progress = Callable[[int, int], None]
SUBMIT_PAGE = "https://www.kaggle.com/competitions/ml2022spring-hw4/submissions"


def open_corpus(workspace: Workspace) -> "Packed":
    from kaggle_hw4.data.packed import open_packed

    return open_packed(workspace.packed)


def split(
    workspace: Workspace, by: str, count: int, seed: int, progress: Progress
) -> tuple["Folds", Path]:
    """Make the fold table, or find it made."""
    from kaggle_hw4.data.folds import make_folds, read_folds, table_name, write_folds

    packed = open_corpus(workspace)
    path = workspace.folds / f"{table_name(by, count, seed)}.csv"
    if path.is_file():
        return read_folds(path, packed), path
    folds = make_folds(packed, by, count, seed, progress)
    return folds, write_folds(workspace.folds, folds, packed)


@dataclass(frozen=True)
class Training:
    """Which runs to train: every fold with every seed. `folds` None is all of them.

    `runs` is where they go, if not to the workspace's own.
    """

    variant: str
    settings: Sequence[str] = ()
    split: str | None = None
    folds: Sequence[int] | None = None
    seeds: Sequence[int] = (0,)
    runs: Path | None = None


def train(
    workspace: Workspace, what: Training, device: str, monitor: "Monitor"
) -> list[dict[str, Any]]:
    """Train what is not trained yet; return a report of every run, in order."""
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.inference.precision import choose_device
    from kaggle_hw4.recipe import read_recipe
    from kaggle_hw4.runs import Run
    from kaggle_hw4.training import loop

    path = workspace.variant(what.variant)
    recipe = read_recipe(path, what.settings)
    packed = open_corpus(workspace)
    folds = find_folds(workspace.folds, packed, what.split)
    reports = []
    for fold, seed in _fold_seeds(what, folds):
        inputs = [packed.hash, folds.hash]
        run = Run.of(what.runs or workspace.runs, path.stem, recipe, inputs, fold, seed)
        job = loop.Job(path.stem, recipe, packed, folds, fold, seed, run)
        reports.append(_report(run, loop.train(job, choose_device(device), monitor)))
    return reports


def _fold_seeds(what: Training, folds: "Folds") -> list[tuple[int, int]]:
    chosen = range(folds.count) if what.folds is None else what.folds
    for fold in chosen:
        if not 0 <= fold < folds.count:
            raise UsageError(f"--fold {fold}: {folds.name} has folds 0 to {folds.count - 1}")
    return [(fold, seed) for seed in what.seeds for fold in dict.fromkeys(chosen)]


def _report(run: "Run", manifest: dict[str, Any]) -> dict[str, Any]:
    return {"run": run.name, "folder": str(run.folder), **manifest}


def predict(
    workspace: Workspace, paths: Iterable[Path], settings: Sequence[str], device: str
) -> list[dict[str, Any]]:
    """Predict finished runs anew, each by its own recipe's plan with `settings` laid over it."""
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.inference.logits import predict_run
    from kaggle_hw4.inference.precision import choose_device
    from kaggle_hw4.recipe import read_recipe
    from kaggle_hw4.runs import find_runs, finished

    for setting in settings:
        if not setting.startswith("predict."):
            raise UsageError(f"-s {setting}: only predict.* can change after the training")
    packed = open_corpus(workspace)
    reports = []
    for run in finished(find_runs(paths)):
        plan = read_recipe(run.folder / "recipe.toml", settings).predict
        folds = find_folds(workspace.folds, packed, run.manifest()["folds"]["name"])
        manifest = predict_run(run, packed, folds, plan, choose_device(device))
        reports.append(_report(run, manifest))
    return reports


def ensemble(
    workspace: Workspace,
    paths: Iterable[Path],
    label: str | None = None,
    split: str | None = None,
) -> dict[str, Any]:
    """Blend the finished runs below `paths` into a new submission, or find it made.

    `split` takes only the runs that were trained on the fold table of that name.
    """
    workspace.submissions.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.submissions / ".ensemble.lock"):  # two at once would make it twice
        return _ensemble(workspace, paths, label, split)


def _ensemble(
    workspace: Workspace, paths: Iterable[Path], label: str | None, split: str | None
) -> dict[str, Any]:
    from kaggle_hw4.ensemble.blend import blend
    from kaggle_hw4.ensemble.members import find_members, label_of
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.kaggle.submissions import write_submission
    from kaggle_hw4.runs import find_runs, finished

    runs = find_runs(paths)
    done = [r for r in finished(runs) if split in (None, r.manifest()["folds"]["name"])]
    if not done:
        raise UsageError(f"none of these runs was trained on the fold table {split!r}")
    members = find_members(done)
    label = label or label_of(members)
    inputs = {k: v for m in members for k, v in m.inputs.items()}
    ledger = Ledger(workspace.submissions)
    unfinished = [run.name for run in runs if not run.done]
    if made := _made_already(ledger, label, inputs):
        return {**made, "new": False, "unfinished": unfinished}
    packed = open_corpus(workspace)
    _check_corpus(packed, done)
    truth = {packed.ids[row]: int(packed.labels[row]) for row in packed.train}
    found = blend(members, truth)
    names = [packed.speakers[i] for i in found.test_labels]
    written = write_submission(workspace.submissions, label, members[0].test_ids, names)
    event = ledger.append(
        {
            "event": "created",
            "version": written.version,
            "label": label,
            "sha256": written.sha256,
            "rows": len(names),
            **describe(found),
            "commit": commit(),
            "inputs": inputs,
        }
    )
    return {**event, "new": True, "unfinished": unfinished}


def _made_already(ledger: "Ledger", label: str, inputs: dict[str, str]) -> dict[str, Any] | None:
    """The creation of a submission from just these logits whose file is still as it was."""
    from kaggle_hw4.kaggle.submissions import path_of

    for entry in ledger.entries():
        made, path = entry.created or {}, path_of(ledger.folder, entry.version)
        same = (made.get("label"), made.get("inputs")) == (label, inputs)
        if same and path.is_file() and sha256_file(path) == made.get("sha256"):
            return made
    return None


def describe(found: "Blend") -> dict[str, Any]:
    """A blend as the ledger keeps it."""
    members = zip(found.members, found.temperatures, found.singles, strict=True)
    return {
        "members": [m.describe() | {"temperature": t, "oof": s} for m, t, s in members],
        "weights": list(found.weights),
        "method": found.method,
        "uniform": found.uniform,
        "weighted": found.weighted,
        "cv": [{"kind": found.members[0].by, **found.chosen}],
    }


def _check_corpus(packed: "Packed", runs: Iterable["Run"]) -> None:
    for run in runs:
        if run.manifest()["corpus"] != packed.hash:
            raise DataError(
                f"{run.name} was trained on another corpus than {packed.folder} holds",
                "use the workspace that it was trained in",
            )


def submit(
    workspace: Workspace, version: str | None, to: str, truth: Path | None
) -> dict[str, Any]:
    """Check a submission against the corpus, then score it on `truth` or say where to upload it."""
    from kaggle_hw4.kaggle import leaderboard
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.kaggle.submissions import check_submission, path_of

    if to not in ("web", "local"):
        raise UsageError(f"--to {to}: a submission goes to web (by hand) or local (with --truth)")
    if (to == "local") != (truth is not None):
        raise UsageError("--to local and --truth FILE belong together: give both or none")
    ledger = Ledger(workspace.submissions)
    entry = leaderboard.resolve(ledger, version)
    path = path_of(workspace.submissions, entry.version)
    packed = open_corpus(workspace)
    problems = check_submission(path, [packed.ids[row] for row in packed.test], packed.speakers)
    if not problems and entry.created and sha256_file(path) != entry.created.get("sha256"):
        problems = ["its rows have changed since hw4 wrote it"]
    if problems:
        raise DataError(f"{path} is not fit to be sent", "make it anew: hw4 ensemble", problems)
    result: dict[str, Any] = {"version": entry.version, "path": str(path), "to": to}
    if truth is None:
        return result | {"page": SUBMIT_PAGE}  # nothing is sent: only a recorded score is evidence
    score = leaderboard.score_locally(path, truth)
    ledger.append({"event": "submitted", "version": entry.version, "to": to})
    return result | ledger.append(score.event(entry.version, truth))
