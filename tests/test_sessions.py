"""Session clusters come from the features alone."""

from pathlib import Path

import numpy as np

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.sessions import MIN_SESSIONS, cluster, cluster_sessions, nearest_of_speaker
from tests.conftest import agreement


def estimate(corpus: Corpus) -> np.ndarray:
    descriptors = corpus.channels.descriptor[corpus.train]
    return cluster_sessions(
        descriptors, corpus.labels[corpus.train], MIN_SESSIONS, lambda done, total: None
    )


def test_session_clusters_agree_with_the_true_sessions(corpus: Corpus, synthetic: Path) -> None:
    assert agreement(corpus, estimate(corpus), synthetic) > 0.6


def test_sessions_never_span_speakers(corpus: Corpus) -> None:
    sessions = estimate(corpus)
    labels = corpus.labels[corpus.train]
    assert all(len(set(labels[sessions == s])) == 1 for s in set(sessions))
    assert all(len(set(sessions[labels == s])) >= 2 for s in range(4))
    assert set(sessions) == set(range(len(set(sessions)))), "numbered from 0, without a gap"


def test_two_utterances_are_two_sessions() -> None:
    assert cluster(np.zeros((2, 80), np.float32), MIN_SESSIONS).tolist() == [0, 1]


def test_there_are_at_least_as_many_clusters_as_required_where_utterances_allow() -> None:
    rng = np.random.default_rng(0)
    two = np.repeat([0.0, 9.0], 12)[:, None] + rng.normal(size=(24, 3))
    counts = {least: len(set(cluster(two.astype(np.float32), least))) for least in (2, 6, 20)}
    assert counts[2] == 2
    assert counts[6] >= 6
    assert 8 <= counts[20] <= 12  # three utterances each, or two


def test_the_nearest_are_others_of_the_same_speaker() -> None:
    points = np.array([[0.0], [1.0], [5.0], [0.1], [9.0], [9.1], [3.0]], np.float32)
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    near = nearest_of_speaker(points, labels)
    assert near[:4].tolist() == [[3, 1], [3, 0], [1, 3], [0, 1]]
    assert near[4:, 0].tolist() == [5, 4, 6]
    assert near[6].tolist() == [6, 6]


def test_no_more_clusters_are_tried_than_half_of_the_utterances() -> None:
    """Two pairs and two others that are nearer to each other: four would have the best score."""
    axes = np.eye(4, dtype=np.float32) / np.sqrt(2)
    points = np.stack([axes[0], axes[0], axes[1], axes[1], 1.1 * axes[2], 1.1 * axes[3]])
    assert len(set(cluster(points, 2))) == 3


def test_a_speaker_of_two_sessions_is_cut_into_five() -> None:
    """Too few clusters merge sessions, and validation is too pessimistic (docs/LOG.md)."""
    two = np.repeat([0.0, 9.0], 12)[:, None] + np.random.default_rng(0).normal(size=(24, 3))
    assert len(set(cluster(two.astype(np.float32), MIN_SESSIONS))) == 5
