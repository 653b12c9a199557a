"""Blends without fitted weights, and known counts."""

import tracemalloc

import numpy as np
from scipy.special import log_softmax, softmax

from kaggle_hw4.ensemble.combine import (
    majority_vote,
    match_counts,
    mean_log_probability,
    mean_probability,
    uniform,
)

RANDOM = np.random.default_rng(0)
LOGP = log_softmax(RANDOM.normal(size=(3, 6, 5)), axis=2).astype(np.float32)


def test_equal_weights_give_the_mean() -> None:
    assert uniform(4).tolist() == [0.25] * 4
    np.testing.assert_allclose(mean_log_probability(LOGP, uniform(3)), LOGP.mean(0), rtol=1e-5)


def test_a_weighted_mean_is_taken_over_members_and_of_chosen_rows() -> None:
    weights, rows = np.array([0.5, 0.0, 0.5]), np.array([True, False] * 3)
    expected = (LOGP[0] + LOGP[2])[rows] / 2
    np.testing.assert_allclose(mean_log_probability(LOGP, weights, rows), expected, rtol=1e-6)


def test_a_mean_of_probabilities_is_not_one_of_log_probabilities() -> None:
    mean = np.exp(mean_probability(LOGP))
    np.testing.assert_allclose(mean, np.exp(LOGP).mean(0), rtol=1e-5)
    assert not np.allclose(mean, softmax(LOGP.mean(0), axis=1), atol=0.01)


def test_the_majority_wins_and_the_mean_breaks_ties() -> None:
    confident, unsure = np.log([0.9, 0.05, 0.05]), np.log([0.4, 0.45, 0.15])
    voted = majority_vote(np.array([[confident], [unsure], [unsure]], np.float32))
    assert voted.argmax(1).tolist() == [1], "though the mean says 0"
    tied = majority_vote(np.array([[confident], [unsure]], np.float32))
    assert tied.argmax(1).tolist() == [0]


def test_known_counts_are_met_and_improve_the_accuracy() -> None:
    y = np.repeat(np.arange(20), 10)
    scores = RANDOM.normal(size=(200, 20)) + 2 * np.eye(20)[y]
    matched = match_counts(scores, [10] * 20)
    np.testing.assert_allclose(softmax(matched, axis=1).sum(0), 10, rtol=1e-3)
    before, after = ((s.argmax(1) == y).mean() for s in (scores, matched))
    assert after > before


def test_a_speaker_with_a_count_of_zero_is_never_predicted() -> None:
    scores = RANDOM.normal(size=(30, 3))
    assert 1 not in match_counts(scores, [15, 0, 15]).argmax(1)


def test_counts_are_matched_in_one_matrix_to_the_bits_of_several() -> None:
    n, classes = 2000, 9000  # five blocks of rows
    scores = (3 * RANDOM.normal(size=(n, classes))).astype(np.float32)
    counts = RANDOM.multinomial(n, np.full(classes, 1 / classes))
    tracemalloc.start()
    matched = match_counts(scores, counts, rounds=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * matched.nbytes
    p = softmax(scores.astype(np.float64), axis=1)
    p *= counts / np.maximum(p.sum(0), 1e-300)
    p /= np.maximum(p.sum(1, keepdims=True), 1e-300)
    assert np.array_equal(matched, np.log(np.maximum(p, 1e-300)))
