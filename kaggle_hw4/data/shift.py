"""Does the test set come from other sessions than the training set? Measured, not assumed.

A session shows in an utterance's channel statistics (`data.channel`): the nearest neighbour of an
utterance is, most of the time, from the same session. So the measure is how often the nearest
neighbour of a test utterance is itself in the test set (the nearest-neighbour two-sample test,
Schilling 1986 and Henze 1988). Two held-out parts of the training set, of the same relative size,
give the scale: one drawn at random, whose rate a test set from the training sessions would have,
and one of whole session clusters, whose rate a test set of unseen sessions would have.

By how much a random split overestimates is measured by a linear discriminant on each band's mean
and deviation, validated by utterance and by session.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestNeighbors

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import assign_folds
from kaggle_hw4.data.sessions import MIN_SESSIONS, cluster_sessions

Array = npt.NDArray[Any]

FOLDS = 5
BOOTSTRAPS = 1000
SPEAKERS = 100  # at most, for the linear probe: enough for an illustration


@dataclass(frozen=True)
class SameSetRates:
    """How often an utterance and its nearest neighbour are in the same set, if the held-out set is
    a random split, a session split, or the test set.
    """

    random_split: float
    session_split: float
    test_set: float


@dataclass(frozen=True)
class UnseenShare:
    """The share of the test set in unseen sessions, with its 95 % bootstrap interval. Sampling
    noise may take it outside of 0 … 1.
    """

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class ProbeAccuracy:
    """Accuracies of a linear probe, validated by utterance and by session, over `n` utterances."""

    utterance: float
    session: float
    bias: float  # utterance - session: by how much a random split overestimates
    n: int


@dataclass(frozen=True)
class Shift:
    """How much of the test set is in unseen sessions, and what a random split overestimates."""

    hash: str  # of the corpus
    same_set_rates: SameSetRates
    unseen_sessions: UnseenShare
    linear_probe: ProbeAccuracy


def measure_shift(corpus: Corpus, progress: Callable[[int, int], None]) -> Shift:
    """Measure how much of the test set of `corpus` is in unseen sessions; `progress(done, total)`
    counts speakers whose sessions are clustered.
    """
    descriptors = corpus.channels.descriptor
    train, labels = descriptors[corpus.train], corpus.labels[corpus.train]
    sessions = cluster_sessions(train, labels, MIN_SESSIONS, progress)
    # Held-out sets as large, relative to the rest, as the test set is to the training set.
    count = max(2, round(len(corpus.ids) / len(corpus.test)))
    neighbour = nearest(train)
    at_random, by_session = (
        same_set(neighbour, assign_folds(labels, groups, count, seed=0))
        for groups in (np.arange(len(labels)), sessions)
    )
    is_test = corpus.labels < 0
    test = same_set(nearest(descriptors), is_test)[is_test]
    rates = (float(same.mean()) for same in (at_random, by_session, test))
    unseen = unseen_share(at_random, by_session, test)
    return Shift(corpus.hash, SameSetRates(*rates), unseen, probe(corpus, sessions))


def nearest(points: Array) -> Array:
    """The index (n,) of each point's nearest other point, of `points` (n, d)."""
    neighbours: Array = NearestNeighbors(n_neighbors=2).fit(points).kneighbors(points)[1]
    # Of two identical points either may come first.
    itself = neighbours[:, 0] == np.arange(len(points))
    return np.where(itself, neighbours[:, 1], neighbours[:, 0])


def same_set(neighbour: Array, sets: Array) -> Array:
    """Whether each point and its nearest neighbour are in the same set; all (n,)."""
    same: Array = sets[neighbour] == sets
    return same


def unseen_share(at_random: Array, by_session: Array, test: Array) -> UnseenShare:
    """Where the rate of `test` lies between 0, a random split's, and 1, a session split's."""

    def share(test_rate: float, session_rate: float) -> float:
        return (test_rate - random_rate) / max(session_rate - random_rate, 1e-9)

    random_rate = float(at_random.mean())
    generator, shares = np.random.default_rng(0), []
    for _ in range(BOOTSTRAPS):
        rates = (float(generator.choice(r, len(r)).mean()) for r in (test, by_session))
        shares.append(share(*rates))
    low, high = np.percentile(shares, [2.5, 97.5])
    estimate = share(float(test.mean()), float(by_session.mean()))
    return UnseenShare(float(estimate), float(low), float(high))


def probe(corpus: Corpus, sessions: Array) -> ProbeAccuracy:
    """Accuracy of a linear discriminant, validated by utterance and by session cluster.

    `sessions` (n_train,) are the session clusters of the training rows.
    """
    rows = corpus.train[corpus.labels[corpus.train] < SPEAKERS]
    channels, labels = corpus.channels[rows], corpus.labels[rows]
    statistics = np.concatenate([channels.mean, channels.deviation], axis=1)
    utterance, session = (
        cross_validate(statistics, labels, groups)
        for groups in (np.arange(len(rows)), sessions[rows])
    )
    return ProbeAccuracy(utterance, session, utterance - session, len(rows))


def cross_validate(statistics: Array, labels: Array, groups: Array) -> float:
    """The accuracy of a linear discriminant over folds that keep `groups` (n,) together."""
    fold, correct = assign_folds(labels, groups, FOLDS, seed=0), np.zeros(len(labels), bool)
    for k in range(FOLDS):
        fitted = LinearDiscriminantAnalysis().fit(statistics[fold != k], labels[fold != k])
        correct[fold == k] = fitted.predict(statistics[fold == k]) == labels[fold == k]
    return float(correct.mean())
