"""From the optional sections of a recipe to the artifacts that they name."""

from typing import TYPE_CHECKING

from kaggle_hw4.errors import DataError
from kaggle_hw4.run_manifest import FoldTable, PretrainedEncoders, PseudoLabels, TeacherLogits
from kaggle_hw4.training.sources import Pretrained, PseudoLabelled, Sources, Teacher
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.data.segments import IntArray
    from kaggle_hw4.recipe import Recipe
    from kaggle_hw4.runs import Run


def find_sources(
    workspace: Workspace, run: "Run", recipe: "Recipe", corpus: "Corpus", folds: "Folds"
) -> Sources:
    """What `run` learns from beside its labelled rows; DataError where it is not there, or was made
    from what this fold holds out.
    """
    start, pseudo_labels, teacher = recipe.start, recipe.pseudo_labels, recipe.distillation
    return Sources(
        encoders=find_encoders(workspace, start.initialise_from, run, corpus, folds)
        if start
        else None,
        pseudo_labels=find_pseudo_labels(workspace, pseudo_labels.labels, run, corpus, folds)
        if pseudo_labels
        else None,
        teacher=find_teacher(workspace, teacher.teacher, teacher.transductive, run, corpus, folds)
        if teacher
        else None,
    )


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
    _check(pretraining.name, manifest.corpus, manifest.folds, manifest.fold, run, corpus, folds)
    path = pretraining.encoders()
    record = PretrainedEncoders(
        run=pretraining.name,
        sha256=manifest.sha256[path.name],
        transductive=manifest.transductive,
    )
    return Pretrained(path, record)


def find_pseudo_labels(
    workspace: Workspace, name: str, run: "Run", corpus: "Corpus", folds: "Folds"
) -> PseudoLabelled:
    """The pseudo-labels called `name` of the run's fold. DataError where one is of no test
    utterance.
    """
    import numpy as np

    from kaggle_hw4.targets.pseudo_labels import REMEDY, path_of, read_pseudo_labels

    path = path_of(workspace.pseudo_labels, name, run.fold)
    table = read_pseudo_labels(path)
    _check(str(path), table.corpus, table.folds, table.fold, run, corpus, folds)
    row_of = {corpus.ids[row]: int(row) for row in corpus.test}
    label_of = {speaker: label for label, speaker in enumerate(corpus.speakers)}
    for utterance, speaker in table.labels.items():
        if utterance not in row_of or speaker not in label_of:
            raise DataError(f"{path}: {utterance} of {speaker} is not in the test set", REMEDY)
    rows = [row_of[utterance] for utterance in table.labels]
    labels = [label_of[speaker] for speaker in table.labels.values()]
    record = PseudoLabels(
        labels=name,
        seal=table.seal,
        utterances=len(rows),
        round=table.round,
        validation=table.validation,
    )
    return PseudoLabelled(np.array(rows, np.int64), np.array(labels, np.int64), record)


def find_teacher(
    workspace: Workspace,
    name: str,
    transductive: bool,
    run: "Run",
    corpus: "Corpus",
    folds: "Folds",
) -> Teacher:
    """The logits of the teacher called `name` for the run's fold. DataError where they are not of
    the rows that it trains on, and, if so asked, of the test set.
    """
    import numpy as np

    from kaggle_hw4.targets.teacher import REMEDY, path_of, read_teacher

    path = path_of(workspace.teachers, name, run.fold, transductive)
    table = read_teacher(path)
    header = table.header
    _check(str(path), header.corpus, header.folds, header.fold, run, corpus, folds)
    rows = taught_rows(corpus, folds, run.fold, transductive)
    if table.ids != tuple(corpus.ids[row] for row in rows):
        raise DataError(f"{path} is not of the rows that fold {run.fold} trains on", REMEDY)
    record = TeacherLogits(
        teacher=name,
        members=header.members,
        sha256=table.sha256,
        transductive=header.transductive,
    )
    return Teacher(np.asarray(rows), table.logits, record)


def taught_rows(corpus: "Corpus", folds: "Folds", fold: int, transductive: bool) -> "IntArray":
    """The rows that a teacher has logits of: never those that the fold holds out."""
    import numpy as np

    training = folds.training(fold)
    return np.concatenate([training, corpus.test]) if transductive else training


def _check(
    name: str,
    corpus_hash: str,
    table: FoldTable,
    fold: int,
    run: "Run",
    corpus: "Corpus",
    folds: "Folds",
) -> None:
    """DataError unless `name` was made on the run's own corpus, fold table and fold: what another
    fold trains on may be what this one validates on.
    """
    for what, made_on, wanted in (
        ("corpus", corpus_hash, corpus.hash),
        ("fold table", table.hash, folds.hash),
        ("fold", str(fold), str(run.fold)),
    ):
        if made_on != wanted:
            raise DataError(
                f"{name} was made on {what} {made_on}, not on {wanted}",
                "make it on the same fold; a name without a fold is that of all",
            )
