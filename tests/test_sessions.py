"""The session proxy finds sessions from the features alone."""

import csv
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from kaggle_hw4.data.packed import Packed
from kaggle_hw4.data.sessions import cluster, session_proxy


def test_guessed_sessions_agree_with_the_true_ones(packed: Packed, corpus: Path) -> None:
    with (corpus / "sessions.csv").open() as file:
        true = {row["Id"]: row["Session"] for row in csv.DictReader(file)}
    guessed = session_proxy(packed, 3, lambda done, total: None)
    labels = packed.labels[packed.train]
    truth = np.array([true[packed.ids[row]] for row in packed.train])
    scores = [adjusted_rand_score(truth[labels == s], guessed[labels == s]) for s in range(4)]
    assert np.mean(scores) > 0.6


def test_sessions_never_span_speakers(packed: Packed) -> None:
    guessed = session_proxy(packed, 2, lambda done, total: None)
    labels = packed.labels[packed.train]
    assert all(len(set(labels[guessed == s])) == 1 for s in set(guessed))
    assert all(len(set(guessed[labels == s])) >= 2 for s in range(4))


def test_two_utterances_are_two_sessions() -> None:
    assert cluster(np.zeros((2, 80), np.float32), at_least=3).tolist() == [0, 1]
