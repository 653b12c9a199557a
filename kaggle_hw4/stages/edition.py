"""Which edition of the competition a workspace is about."""

import json
from pathlib import Path

from kaggle_hw4.competition import DEFAULT, Edition, edition_named
from kaggle_hw4.errors import DataError
from kaggle_hw4.workspace import Workspace

MANIFESTS = ("corpus.json", "packed.json")
REMEDY = "pack the dataset again: `hw4 data pack`"


def edition_of_workspace(workspace: Workspace) -> Edition | None:
    """The edition of the packed corpus, None where it is none; without a corpus, the default."""
    if not workspace.corpus.is_dir():
        return DEFAULT
    return edition_named(read_edition(workspace.corpus))


def read_edition(folder: Path) -> int | None:
    """The year in the manifest of a packed corpus, read without torch: showing scores is instant.

    Raises DataError where the manifest is missing or is not JSON.
    """
    path = next((folder / name for name in MANIFESTS if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder / MANIFESTS[0]} is missing", REMEDY)
    try:
        year = json.loads(path.read_bytes()).get("edition")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: not the manifest of a packed corpus ({error})", REMEDY) from error
    return year if isinstance(year, int) else None
