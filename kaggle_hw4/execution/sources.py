"""From the optional sections of a recipe to the artifacts that they name."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.errors import DataError
from kaggle_hw4.run_manifest import FoldTable, PretrainedEncoders, PseudoLabels, TeacherLogits
from kaggle_hw4.training.sources import Pretrained, PseudoLabelled, Sources, Teacher
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.data.segments import IntArray
    from kaggle_hw4.learning import DistillationConfig
    from kaggle_hw4.recipe import Recipe
    from kaggle_hw4.runs import Run
    from kaggle_hw4.targets.pseudo_labels import PseudoLabelTable


def find_sources(
    workspace: Workspace, run: "Run", recipe: "Recipe", corpus: "Corpus", folds: "Folds"
) -> Sources:
    """What `run` learns from beside its labelled rows; DataError where it is not there, or was made
    from what this fold holds out.
    """
    finder = Finder(workspace, run, corpus, folds)
    start, labels, distillation = recipe.start, recipe.pseudo_labels, recipe.distillation
    return Sources(
        encoders=finder.encoders(start.initialise_from) if start else None,
        pseudo_labels=finder.pseudo_labels(labels.labels) if labels else None,
        teacher=finder.teacher(distillation) if distillation else None,
    )


@dataclass(frozen=True)
class Finder:
    """Finds what one run learns from."""

    workspace: Workspace
    run: "Run"
    corpus: "Corpus"
    folds: "Folds"

    def encoders(self, name: str) -> Pretrained:
        """Those of the pretraining called `name`; where that names no run of it, those of the same
        fold and seed.
        """
        from kaggle_hw4.pretraining.run import PretrainingRun

        group, _, folder = name.partition("/")
        run = PretrainingRun(self.workspace.runs / group / (folder or self.run.folder.name))
        if not run.done:
            what = f"there is no finished pretraining {run.name}"
            raise DataError(what, "`hw4 pretrain` makes it")
        manifest, path = run.manifest(), run.encoders()
        self._check(run.name, manifest.corpus, manifest.folds, manifest.fold)
        sha256, transductive = manifest.sha256[path.name], manifest.transductive
        record = PretrainedEncoders(run=run.name, sha256=sha256, transductive=transductive)
        return Pretrained(path, record)

    def pseudo_labels(self, name: str) -> PseudoLabelled:
        """The labels of this fold. DataError where one is of no test utterance."""
        from kaggle_hw4.targets.pseudo_labels import path_of, read_pseudo_labels

        path = path_of(self.workspace.pseudo_labels, name, self.run.fold)
        table = read_pseudo_labels(path)
        self._check(str(path), table.corpus, table.folds, table.fold)
        rows, labels = self._labelled(path, table)
        record = PseudoLabels(
            labels=name,
            seal=table.seal,
            utterances=len(rows),
            round=table.round,
            validation=table.validation,
        )
        return PseudoLabelled(rows, labels, record)

    def _labelled(self, path: Path, table: "PseudoLabelTable") -> tuple["IntArray", "IntArray"]:
        """The rows of the corpus that are in the table, and their labels."""
        import numpy as np

        from kaggle_hw4.targets.pseudo_labels import REMEDY

        row_of = {self.corpus.ids[row]: int(row) for row in self.corpus.test}
        label_of = {speaker: label for label, speaker in enumerate(self.corpus.speakers)}
        for utterance, speaker in table.labels.items():
            if utterance not in row_of or speaker not in label_of:
                what = f"{path}: {utterance} of {speaker} is not in the test set"
                raise DataError(what, REMEDY)
        rows = [row_of[utterance] for utterance in table.labels]
        labels = [label_of[speaker] for speaker in table.labels.values()]
        return np.array(rows, np.int64), np.array(labels, np.int64)

    def teacher(self, config: "DistillationConfig") -> Teacher:
        """Its logits for this fold. DataError where they are not of the rows that it trains on,
        and, if so asked, of the test set.
        """
        from kaggle_hw4.targets.teacher import REMEDY, path_of, read_teacher

        fold, transductive = self.run.fold, config.transductive
        path = path_of(self.workspace.teachers, config.teacher, fold, transductive)
        table = read_teacher(path)
        header, rows = table.header, taught_rows(self.corpus, self.folds, fold, transductive)
        self._check(str(path), header.corpus, header.folds, header.fold)
        if table.ids != tuple(self.corpus.ids[row] for row in rows):
            raise DataError(f"{path} is not of the rows that fold {fold} trains on", REMEDY)
        return Teacher(rows, table.logits, TeacherLogits(
            teacher=config.teacher,
            members=header.members,
            sha256=table.sha256,
            transductive=header.transductive,
        ))  # fmt: skip

    def _check(self, name: str, corpus: str, table: FoldTable, fold: int) -> None:
        """DataError unless `name` was made on the run's own corpus, fold table and fold: what
        another fold trains on may be what this one validates on.
        """
        for what, made_on, wanted in (
            ("corpus", corpus, self.corpus.hash),
            ("fold table", table.hash, self.folds.hash),
            ("fold", str(fold), str(self.run.fold)),
        ):
            if made_on != wanted:
                raise DataError(
                    f"{name} was made on {what} {made_on}, not on {wanted}",
                    "make it on the same fold; a name without a fold is that of all",
                )


def taught_rows(corpus: "Corpus", folds: "Folds", fold: int, transductive: bool) -> "IntArray":
    """The rows that a teacher has logits of: never those that the fold holds out."""
    import numpy as np

    training = folds.training(fold)
    return np.concatenate([training, corpus.test]) if transductive else training
