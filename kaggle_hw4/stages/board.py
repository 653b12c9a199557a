"""From Kaggle's list of submissions, or a file with such a list, to the ledger."""

from pathlib import Path
from typing import Any

from kaggle_hw4.competition import destination
from kaggle_hw4.stages.edition import edition_of_workspace
from kaggle_hw4.workspace import Workspace, shipped


def import_scores(workspace: Workspace, path: Path) -> list[dict[str, Any]]:
    """Take the scores of a file into the ledger; what is known already is left alone."""
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.kaggle.listing import read_listing
    from kaggle_hw4.kaggle.sync import record

    found = path if path.exists() else shipped(str(path))  # examples/past_scores.csv
    rows = read_listing(found if found.exists() else path)
    return record(Ledger(workspace.submissions), rows, f"imported from {path.name}")


def synchronise(workspace: Workspace) -> list[dict[str, Any]]:
    """Take Kaggle's own list of this team's submissions into the ledger."""
    from kaggle_hw4.kaggle.client import connect
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.kaggle.sync import record
    from kaggle_hw4.kaggle.upload import list_submissions

    kaggle = connect(destination(edition_of_workspace(workspace)).slug)
    return record(Ledger(workspace.submissions), list_submissions(kaggle), "synced from Kaggle")
