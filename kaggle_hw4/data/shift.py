"""Does the test set come from other sessions than the training set? Measured, not assumed.

A session is seen in an utterance's channel (`data.channel`): its nearest neighbour of all is, most
of the time, one of the same session. So the question is whom a test utterance is nearest to. Were
the test set drawn at random from the training set's sessions, its neighbours would be test
utterances no more often than such utterances are; were it recorded elsewhere, about as often as
the neighbours in a held-out set of whole sessions are held out with it. (The nearest-neighbour test
of two samples, Schilling 1986 and Henze 1988.) What the shift costs is asked of a probe: a linear
discriminant on each band's mean and deviation, validated by utterance and by session.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestNeighbors

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import assign_folds
from kaggle_hw4.data.sessions import FEWEST, cluster_sessions

Array = npt.NDArray[Any]

FOLDS = 5
DRAWS = 1000  # of the bootstrap
SPEAKERS = 100  # at most, for the probe: it is an illustration


def measure_shift(corpus: Corpus, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """How often the nearest neighbour is of the same set, the share of the test set that this
    makes unseen sessions, with its 95 % interval, and what a random split overstates.
    """
    described = corpus.channels.descriptor
    train, labels = described[corpus.train], corpus.labels[corpus.train]
    sessions = cluster_sessions(train, labels, FEWEST, progress)
    # Held-out sets as large, beside what is left, as the test set is beside the training set.
    count = max(2, round(len(corpus.ids) / len(corpus.test)))
    near = nearest(train)
    at_random, by_session = (
        same_set(near, assign_folds(labels, groups, count, seed=0))
        for groups in (np.arange(len(labels)), sessions)
    )
    is_test = corpus.labels < 0
    test = same_set(nearest(described), is_test)[is_test]
    return {
        "nearest_is_of_the_same_set": {
            "drawn_at_random": float(at_random.mean()),
            "whole_sessions": float(by_session.mean()),
            "the_test_set": float(test.mean()),
        },
        "unseen_sessions": unseen_share(at_random, by_session, test),
        "linear_probe": probe(corpus, sessions),
    }


def nearest(points: Array) -> Array:
    """The index (n,) of each point's nearest other one."""
    found: Array = NearestNeighbors(n_neighbors=2).fit(points).kneighbors(points)[1]
    # Of two points in one place either may come first.
    return np.where(found[:, 0] == np.arange(len(points)), found[:, 1], found[:, 0])


def same_set(near: Array, sets: Array) -> Array:
    """Whether each point's nearest one is of the same set."""
    same: Array = sets[near] == sets
    return same


def unseen_share(at_random: Array, by_session: Array, test: Array) -> dict[str, float]:
    """Where the test set lies between 0, drawn at random, and 1, whole sessions held out."""

    def share(test_rate: float, sessions_rate: float) -> float:
        return (test_rate - drawn) / max(sessions_rate - drawn, 1e-9)

    drawn = float(at_random.mean())
    random, draws = np.random.default_rng(0), []
    for _ in range(DRAWS):
        rates = (float(random.choice(r, len(r)).mean()) for r in (test, by_session))
        draws.append(share(*rates))
    low, high = np.percentile(draws, [2.5, 97.5])
    found = share(float(test.mean()), float(by_session.mean()))
    return {"share": float(found), "low": float(low), "high": float(high)}


def probe(corpus: Corpus, sessions: Array) -> dict[str, float]:
    """Accuracy of a linear discriminant, validated by utterance and by guessed session."""
    rows = corpus.train[corpus.labels[corpus.train] < SPEAKERS]
    channels = corpus.channels[rows]
    statistics = np.concatenate([channels.mean, channels.deviation], axis=1)
    labels = corpus.labels[rows]
    found = {}
    for name, groups in (("utterance", np.arange(len(rows))), ("session", sessions[rows])):
        fold, right = assign_folds(labels, groups, FOLDS, seed=0), np.zeros(len(rows), bool)
        for k in range(FOLDS):
            fitted = LinearDiscriminantAnalysis().fit(statistics[fold != k], labels[fold != k])
            right[fold == k] = fitted.predict(statistics[fold == k]) == labels[fold == k]
        found[name] = float(right.mean())
    return found | {"overstated": found["utterance"] - found["session"], "n": len(rows)}
