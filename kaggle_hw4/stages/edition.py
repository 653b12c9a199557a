"""Which edition of the competition a workspace is about."""

from kaggle_hw4.competition import DEFAULT, Edition, edition_named
from kaggle_hw4.data.swap import recover
from kaggle_hw4.workspace import Workspace


def edition_of_workspace(workspace: Workspace) -> Edition | None:
    """The edition of the corpus, None where it is none; without a corpus, the default."""
    recover(workspace.corpus)
    if not workspace.corpus.is_dir():
        return DEFAULT
    from kaggle_hw4.data.manifest import read_manifest  # without torch: scores show at once

    return edition_named(read_manifest(workspace.corpus).edition)
