"""What a report is about: a whole workspace, or runs, a version of a submission, or a study."""

from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.errors import UsageError
from kaggle_hw4.kaggle.ledger import Entry, Ledger
from kaggle_hw4.tuning.journal import JOURNAL
from kaggle_hw4.tuning.storage import list_studies, read_storage
from kaggle_hw4.tuning.summary import load_study
from kaggle_hw4.workspace import Workspace

SECTIONS = ("board", "comparison", "models", "data", "ensemble", "study", "cost")


@dataclass(frozen=True)
class Subject:
    """`runs` are folders of runs; `version` None: the latest; `study` None: all of them."""

    title: str
    sections: tuple[str, ...]
    runs: tuple[Path, ...]
    version: str | None = None
    study: str | None = None
    storage: str | None = None  # the URL of the server that studies are on
    studies: tuple[Path, ...] = ()  # whose own runs count in the cost
    alone: bool = False  # runs that are compared with others of the workspace


def find_subject(workspace: Workspace, name: str | None, storage: str | None = None) -> Subject:
    """The subject of that name; without a name, the workspace.

    With `storage`, the URL of a server, the name is that of a study there. UsageError where there
    is none, StorageError where the server cannot be reached.
    """
    if name is None:
        title, studies = f"hw4 report: {workspace.root.name}", sorted(workspace.studies.glob("*/"))
        runs = (workspace.runs,)
        return Subject(title, SECTIONS, runs, storage=storage, studies=tuple(studies))
    if storage is not None:
        return _of_study(workspace, name, storage)
    folder = _run_folder(workspace, name)
    if folder is not None:
        title, sections = f"Runs {folder.name}", ("comparison", "models", "data", "cost")
        return Subject(title, sections, (folder,), alone=True)
    entries = {entry.version: entry for entry in Ledger(workspace.submissions).entries()}
    version = Path(name).stem.removeprefix("output_") if name.endswith(".csv") else name
    if version in entries:
        return _of_version(workspace, entries[version])
    study = Path(name).name
    if study in list_studies(workspace.studies):
        return _of_study(workspace, study, None)
    raise UsageError(f"there is no run, submission or study {name!r}", _known(workspace, entries))


def _of_study(workspace: Workspace, name: str, storage: str | None) -> Subject:
    folder = workspace.studies / name
    if not (folder / JOURNAL).is_file() or storage is not None:  # the server knows
        with read_storage(folder, storage) as opened:
            load_study(opened, name)
    return Subject(f"Study {name}", ("study",), (), study=name, storage=storage)


def _run_folder(workspace: Workspace, name: str) -> Path | None:
    """The folder of runs that `name` is: as a path, or below the workspace's runs."""
    for path in (Path(name), workspace.runs / name):
        if any(next(path.glob(f"{depth}recipe.toml"), None) for depth in ("", "*/", "*/*/")):
            return path.absolute()
    return None


def _of_version(workspace: Workspace, entry: Entry) -> Subject:
    inputs = entry.created.inputs if entry.created else {}
    runs = dict.fromkeys(workspace.runs / file.rpartition("/")[0] for file in inputs)
    sections = ("board", "comparison", "models", "ensemble", "cost")
    return Subject(f"Submission {entry.version}", sections, tuple(runs), version=entry.version)


def _known(workspace: Workspace, versions: dict[str, Entry]) -> str:
    runs = sorted(path.name for path in workspace.runs.glob("*/") if not path.name.startswith("."))
    names = [*runs, *versions, *list_studies(workspace.studies)]
    return f"there are {', '.join(names)}" if names else "`hw4 train` makes a run"
