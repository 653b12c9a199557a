"""From the version of a submission to the runs that it was blended from."""

from collections.abc import Iterable
from pathlib import Path

from kaggle_hw4.errors import DataError
from kaggle_hw4.workspace import Workspace


def runs_of(workspace: Workspace, paths: Iterable[Path]) -> list[Path]:
    """`paths`, with the folders of its runs in the place of each version of a submission.

    DataError where one of these is no longer there.
    """
    from kaggle_hw4.kaggle.ledger import Ledger

    entries = Ledger(workspace.submissions).entries()
    created = {entry.version: entry.created for entry in entries if entry.created}
    folders = list[Path]()
    for path in paths:
        if path.is_dir() or str(path) not in created:
            folders.append(path)
            continue
        names = dict.fromkeys(file.rpartition("/")[0] for file in created[str(path)].inputs)
        folders += [_run_of(workspace, str(path), name) for name in names]
    return folders


def _run_of(workspace: Workspace, version: str, name: str) -> Path:
    places = [folder / name for folder in workspace.run_folders if (folder / name).is_dir()]
    if not places:
        raise DataError(f"{version} was blended from {name}, which is not in this workspace")
    return places[0]
