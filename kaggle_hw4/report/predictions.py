"""What a group of runs predicts, utterance by utterance: read from logits, a fold at a time.

Only a few numbers of each utterance are kept: at 56,666 utterances and 600 speakers, the logits of
one model take 136 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.logits import AnyLogits, blocks, log_softmax, mean
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
    logits = [each.run.read_logits(file) for each in runs]
    place = np.array([rows[name] for name in logits[0].ids])
    label, n = corpus.labels[place], len(place)
    predicted, confidence, truth = np.empty(n, np.int64), np.empty(n), np.empty(n)
    for chosen, logp in blocks(_mean_log_probability([each.values for each in logits])):
        own, which = label[chosen], np.arange(len(logp))
        predicted[chosen] = likeliest = logp.argmax(1)
        confidence[chosen] = np.exp(logp[which, likeliest].astype(np.float64))
        truth[chosen] = np.exp(logp[which, own].astype(np.float64))
    fold = np.full(n, runs[0].manifest.fold)
    return Predictions(place, fold, label, predicted, confidence, truth)


def _mean_log_probability(logits: Sequence[AnyLogits]) -> AnyLogits:
    """The mean over runs of the log-probabilities (n, C), as log-probabilities."""
    logp = [log_softmax(each) for each in logits]
    return logp[0] if len(logp) == 1 else log_softmax(mean(logp))


def in_common(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Both on the utterances that both predict, in one order."""
    _, left, right = np.intersect1d(first.key, second.key, return_indices=True)
    return first.at(left), second.at(right)
