"""What a group of runs predicts, utterance by utterance: read from logits, a fold at a time.

Only a few numbers of each utterance are kept: at 56,666 utterances and 600 speakers, the logits of
one model take 136 MB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import log_softmax

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.metrics import Accuracy, Bools, Floats, Ints, accuracy
from kaggle_hw4.report.groups import Group
from kaggle_hw4.stages.train import FinishedRun

FOLDS = 1000  # more than there are: the key of an utterance in a fold


@dataclass(frozen=True)
class Predictions:
    """Predictions of n utterances, the mean over seeds; all arrays are (n,)."""

    rows: Ints  # of the corpus
    fold: Ints  # whose model predicts it
    label: Ints
    predicted: Ints
    confidence: Floats  # the probability of the predicted speaker
    truth: Floats  # the probability of the true speaker

    @property
    def correct(self) -> Bools:
        return np.asarray(self.predicted == self.label)

    @property
    def key(self) -> Ints:
        """What identifies an utterance in a fold."""
        return np.asarray(self.rows * FOLDS + self.fold)

    def accuracy(self) -> Accuracy:
        return accuracy(self.correct, self.label, self.fold)

    def at(self, places: Ints) -> "Predictions":
        """Those at `places`, in their order."""
        return Predictions(*(getattr(self, name)[places] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class GroupPredictions:
    """Of a group: out of fold, and of utterances of the sessions that it was trained on."""

    group: Group
    validation: Predictions
    seen_session: Predictions | None  # None where the folds are by utterance


def rows_by_id(corpus: Corpus) -> dict[str, int]:
    """The row of every training utterance."""
    return {corpus.ids[row]: int(row) for row in corpus.train}


def read_predictions(group: Group, corpus: Corpus, rows: Mapping[str, int]) -> GroupPredictions:
    """The predictions of `group`; `rows` are those of the training utterances by their id.

    Raises DataError where the logits are missing or damaged.
    """
    seen = all(each.manifest.seen_session for each in group.runs)
    return GroupPredictions(
        group,
        _read(group, corpus, rows, "oof"),
        _read(group, corpus, rows, "seen_session") if seen else None,
    )


def _read(
    group: Group, corpus: Corpus, rows: Mapping[str, int], file: Literal["oof", "seen_session"]
) -> Predictions:
    parts = []
    for fold in group.folds:
        runs = [each for each in group.runs if each.manifest.fold == fold]
        parts.append(_read_fold(runs, corpus, rows, file))
    columns = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in Predictions.__dataclass_fields__
    )
    return Predictions(*columns)


def _read_fold(
    runs: list[FinishedRun], corpus: Corpus, rows: Mapping[str, int], file: str
) -> Predictions:
    """The mean of the log-probabilities of the runs of one fold."""
    logits = runs[0].run.read_logits(file)
    logp = np.asarray(log_softmax(logits.values, axis=1))
    if len(runs) > 1:
        for each in runs[1:]:
            logp = logp + log_softmax(each.run.read_logits(file).values, axis=1)
        logp = np.asarray(log_softmax(logp / len(runs), axis=1))
    place = np.array([rows[name] for name in logits.ids])
    label, predicted, n = corpus.labels[place], logp.argmax(1), np.arange(len(place))
    return Predictions(
        rows=place,
        fold=np.full(len(place), runs[0].manifest.fold),
        label=label,
        predicted=predicted,
        confidence=np.exp(logp[n, predicted].astype(np.float64)),
        truth=np.exp(logp[n, label].astype(np.float64)),
    )


def in_common(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Both on the utterances that both predict, in one order."""
    _, left, right = np.intersect1d(first.key, second.key, return_indices=True)
    return first.at(left), second.at(right)
