"""The session proxy finds sessions from the features alone."""

from pathlib import Path

import numpy as np

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.sessions import FEWEST, cluster, cluster_sessions, nearest_of_speaker
from tests.conftest import agreement


def guess(corpus: Corpus) -> np.ndarray:
    described = corpus.channels.descriptor[corpus.train]
    return cluster_sessions(
        described, corpus.labels[corpus.train], FEWEST, lambda done, total: None
    )


def test_guessed_sessions_agree_with_the_true_ones(corpus: Corpus, synthetic: Path) -> None:
    assert agreement(corpus, guess(corpus), synthetic) > 0.6


def test_sessions_never_span_speakers(corpus: Corpus) -> None:
    guessed = guess(corpus)
    labels = corpus.labels[corpus.train]
    assert all(len(set(labels[guessed == s])) == 1 for s in set(guessed))
    assert all(len(set(guessed[labels == s])) >= 2 for s in range(4))


def test_two_utterances_are_two_sessions() -> None:
    assert cluster(np.zeros((2, 80), np.float32), FEWEST).tolist() == [0, 1]


def test_there_are_as_many_sessions_as_folds_want_and_utterances_allow() -> None:
    rng = np.random.default_rng(0)
    two = np.repeat([0.0, 9.0], 12)[:, None] + rng.normal(size=(24, 3))
    found = {fewest: len(set(cluster(two.astype(np.float32), fewest))) for fewest in (2, 6, 20)}
    assert found[2] == 2
    assert found[6] >= 6
    assert 8 <= found[20] <= 12  # three utterances each, or two


def test_the_nearest_are_others_of_the_same_speaker() -> None:
    points = np.array([[0.0], [1.0], [5.0], [0.1], [9.0], [9.1], [3.0]], np.float32)
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    near = nearest_of_speaker(points, labels)
    assert near[:4].tolist() == [[3, 1], [3, 0], [1, 3], [0, 1]]
    assert near[4:, 0].tolist() == [5, 4, 6]
    assert near[6].tolist() == [6, 6]
