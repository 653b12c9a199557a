"""From the optional sections of a recipe to the artifacts that they name."""

from typing import TYPE_CHECKING

from kaggle_hw4.errors import DataError
from kaggle_hw4.run_manifest import PretrainedEncoders
from kaggle_hw4.training.sources import NOTHING, Pretrained, Sources
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.recipe import Recipe
    from kaggle_hw4.runs import Run


def find_sources(
    workspace: Workspace, run: "Run", recipe: "Recipe", corpus: "Corpus", folds: "Folds"
) -> Sources:
    """What `run` learns from beside its labelled rows; DataError where it is not there, or was made
    from what this fold holds out.
    """
    if recipe.start is None:
        return NOTHING
    encoders = find_encoders(workspace, recipe.start.initialise_from, run, corpus, folds)
    return Sources(encoders=encoders)


def find_encoders(
    workspace: Workspace, name: str, run: "Run", corpus: "Corpus", folds: "Folds"
) -> Pretrained:
    """The encoders of the pretraining called `name`; where that names no run of it, those of the
    same fold and seed.
    """
    from kaggle_hw4.pretraining.run import PretrainingRun

    group, _, folder = name.partition("/")
    pretraining = PretrainingRun(workspace.runs / group / (folder or run.folder.name))
    if not pretraining.done:
        what = f"there is no finished pretraining {pretraining.name}"
        raise DataError(what, "`hw4 pretrain` makes it")
    manifest = pretraining.manifest()
    for what, trained, asked in (
        ("corpus", manifest.corpus, corpus.hash),
        ("fold table", manifest.folds.hash, folds.hash),
        ("fold", str(manifest.fold), str(run.fold)),
    ):
        # Its frames may be those that this fold validates on.
        if trained != asked:
            raise DataError(
                f"{pretraining.name} was pretrained on {what} {trained}, not on {asked}",
                "pretrain on the same fold, or name it without its fold",
            )
    path = pretraining.encoders()
    sha256 = manifest.sha256[path.name]
    record = PretrainedEncoders(
        run=pretraining.name, sha256=sha256, transductive=manifest.transductive
    )
    return Pretrained(path, record)
