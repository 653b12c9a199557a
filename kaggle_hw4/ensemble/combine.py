"""How the log-probabilities (M, n, C) of M members become the scores (n, C) of one blend."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

Array = npt.NDArray[Any]


def uniform(count: int) -> Array:
    return np.full(count, 1 / count)


def mean_log_probability(logp: Array, weights: Array, rows: Any = slice(None)) -> Array:
    """The weighted mean of log-probabilities: a product of experts."""
    total = np.zeros(logp[0][rows].shape, logp.dtype)
    for weight, one in zip(weights, logp, strict=True):
        if weight:  # a member at a time: all at once would take their memory again
            total += logp.dtype.type(weight) * one[rows]
    return total


def mean_probability(logp: Array) -> Array:
    """The logarithm of the plain mean of probabilities: a mixture of experts."""
    mean = np.zeros(logp.shape[1:], logp.dtype)
    for one in logp:
        mean += np.exp(one)
    tiny = np.finfo(logp.dtype).tiny
    return np.asarray(np.log(np.maximum(mean / len(logp), tiny)))


def majority_vote(logp: Array) -> Array:
    """Votes for each class; among equally many, the uniform blend decides."""
    n = logp.shape[1]
    scores = softmax(mean_log_probability(logp, uniform(len(logp))), axis=1)
    for one in logp:
        scores[np.arange(n), one.argmax(1)] += 1
    return np.asarray(scores)


UNWEIGHTED: dict[str, Callable[[Array], Array]] = {
    "vote": majority_vote,
    "probabilities": mean_probability,
}


def match_counts(scores: Array, counts: Sequence[int], rounds: int = 200) -> Array:
    """Scores (n, C) whose probabilities sum to `counts` (C,) in every class, which sum to n.

    Sinkhorn's scaling (1967). It pays only where the counts are truly known: a wrong prior costs.
    """
    p = softmax(scores.astype(np.float64), axis=1)
    target = np.asarray(counts, np.float64)
    for _ in range(rounds):
        p *= target / np.maximum(p.sum(0), 1e-300)
        p /= np.maximum(p.sum(1, keepdims=True), 1e-300)
    return np.asarray(np.log(np.maximum(p, 1e-300)))
