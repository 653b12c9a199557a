"""Every model's accuracy, and what the best of them gets wrong: speakers, pairs, utterances."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.metrics import Accuracy, Floats, Ints
from kaggle_hw4.report.predictions import GroupPredictions, Predictions

PAIRS, SPEAKERS, UTTERANCES = 20, 15, 6  # that are listed
MATRIX = 12  # speakers in the matrix of confusions


@dataclass(frozen=True)
class ModelRow:
    """A group of runs in numbers; losses are cross-entropies in nat."""

    group: str
    variant: str
    folds: int
    seeds: int
    validation: Accuracy
    seen_session: Accuracy | None
    loss: float
    parameters: int


@dataclass(frozen=True)
class Confusion:
    """`count` of the `n` utterances of a speaker are taken for another one; `back` is how many of
    that one are taken for the speaker.
    """

    speaker: str
    taken_for: str
    count: int
    n: int
    back: int


@dataclass(frozen=True)
class HardSpeaker:
    speaker: str
    accuracy: float
    n: int
    taken_for: str  # most often; empty where nothing is wrong


@dataclass(frozen=True)
class HardUtterance:
    """A confident mistake; `truth` is the probability of its true speaker."""

    row: int  # of the corpus
    id: str
    speaker: str
    predicted: str
    confidence: float
    truth: float
    fold: int


@dataclass(frozen=True)
class Mistakes:
    """What a group gets wrong out of fold."""

    group: str
    wrong: int
    n: int
    confusions: tuple[Confusion, ...]
    matrix_speakers: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]  # true speaker by predicted one
    speakers: tuple[HardSpeaker, ...]
    accuracies: tuple[float, ...]  # of every speaker, the lowest first
    utterances: tuple[HardUtterance, ...]
    labels: tuple[int, ...]  # of the speakers that are confused the most


def describe_model(each: GroupPredictions) -> ModelRow:
    group, manifests = each.group, [run.manifest for run in each.group.runs]
    return ModelRow(
        group=group.name,
        variant=group.variant,
        folds=len(group.folds),
        seeds=len(group.seeds),
        validation=each.validation.accuracy(),
        seen_session=each.seen_session.accuracy() if each.seen_session else None,
        loss=float(np.mean([m.validation.loss for m in manifests])),
        parameters=manifests[0].parameters,
    )


def find_mistakes(each: GroupPredictions, corpus: Corpus) -> Mistakes:
    """The mistakes of a group on its validation utterances."""
    p = each.validation
    wrong = np.flatnonzero(~p.correct)
    pairs = _confusions(p, wrong, corpus)
    labels = _confused(pairs)
    names = corpus.speakers
    return Mistakes(
        group=each.group.name,
        wrong=len(wrong),
        n=len(p.rows),
        confusions=tuple(
            Confusion(names[a], names[b], count, n, back) for a, b, count, n, back in pairs[:PAIRS]
        ),
        matrix_speakers=tuple(names[k] for k in labels),
        matrix=_matrix(p, labels),
        speakers=_hard_speakers(p, corpus),
        accuracies=tuple(np.sort(_accuracies(p)[0]).tolist()),
        utterances=_hard_utterances(p, wrong, corpus),
        labels=tuple(labels),
    )


Pair = tuple[int, int, int, int, int]  # true, predicted, count, n, back


def _confusions(p: Predictions, wrong: Ints, corpus: Corpus) -> list[Pair]:
    """Pairs of labels, the most frequent confusion first."""
    size = len(corpus.speakers)
    codes, counts = np.unique(p.label[wrong] * size + p.predicted[wrong], return_counts=True)
    known = dict(zip(codes.tolist(), counts.tolist(), strict=True))
    n = np.bincount(p.label, minlength=size)
    pairs = [
        (code // size, code % size, count, int(n[code // size]), known.get(_swapped(code, size), 0))
        for code, count in known.items()
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], -pair[2] / pair[3], pair[:2]))


def _swapped(code: int, size: int) -> int:
    return code % size * size + code // size


def _confused(pairs: Sequence[Pair]) -> list[int]:
    """The labels in the most frequent confusions, each beside those that it is taken for."""
    labels: list[int] = []
    for a, b, *_ in pairs:
        labels += [label for label in (a, b) if label not in labels]
        if len(labels) >= MATRIX:
            break
    return labels[:MATRIX]


def _matrix(p: Predictions, labels: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(int(((p.label == a) & (p.predicted == b)).sum()) for b in labels) for a in labels
    )


def _accuracies(p: Predictions) -> tuple[Floats, Ints]:
    """The accuracy on each speaker's utterances and their number, of speakers that have any."""
    n = np.bincount(p.label)
    kept = n > 0
    return np.bincount(p.label, p.correct)[kept] / n[kept], np.flatnonzero(kept)


def _hard_speakers(p: Predictions, corpus: Corpus) -> tuple[HardSpeaker, ...]:
    accuracies, labels = _accuracies(p)
    hardest = np.argsort(accuracies, kind="stable")[:SPEAKERS]
    return tuple(_hard_speaker(p, corpus, int(labels[i])) for i in hardest)


def _hard_speaker(p: Predictions, corpus: Corpus, label: int) -> HardSpeaker:
    own = p.label == label
    others = p.predicted[own & ~p.correct]
    other = corpus.speakers[int(np.bincount(others).argmax())] if len(others) else ""
    return HardSpeaker(corpus.speakers[label], float(p.correct[own].mean()), int(own.sum()), other)


def _hard_utterances(p: Predictions, wrong: Ints, corpus: Corpus) -> tuple[HardUtterance, ...]:
    """The mistakes with the highest confidence, one of each speaker."""
    order = wrong[np.lexsort((p.rows[wrong], -p.confidence[wrong]))]
    first = np.sort(np.unique(p.label[order], return_index=True)[1])[:UTTERANCES]
    return tuple(
        HardUtterance(
            row=int(p.rows[i]),
            id=corpus.ids[p.rows[i]],
            speaker=corpus.speakers[p.label[i]],
            predicted=corpus.speakers[p.predicted[i]],
            confidence=float(p.confidence[i]),
            truth=float(p.truth[i]),
            fold=int(p.fold[i]),
        )
        for i in order[first]
    )
