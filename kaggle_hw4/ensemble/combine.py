"""From the log-probabilities (M, n, C) of M members to the scores (n, C) of one blend."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from kaggle_hw4.metrics import Bools, Floats

Scores = npt.NDArray[np.floating[Any]]  # logits or log-probabilities, mostly float32


def uniform(count: int) -> Floats:
    """Equal weights (count,) that sum to 1."""
    return np.full(count, 1 / count)


def mean_log_probability(
    logp: Scores, weights: Floats, rows: slice | Bools = slice(None)
) -> Scores:
    """The weighted mean (n, C) of log-probabilities (M, n, C): a product of experts.

    weights: (M,). `rows` (n,) selects utterances.
    """
    total = np.zeros(logp[0][rows].shape, logp.dtype)
    for weight, member in zip(weights, logp, strict=True):
        if weight:  # one member at a time: all at once would need the memory of a second stack
            total += logp.dtype.type(weight) * member[rows]
    return total


def mean_probability(logp: Scores) -> Scores:
    """The logarithm (n, C) of the unweighted mean of probabilities: a mixture of experts."""
    mean = np.zeros(logp.shape[1:], logp.dtype)
    for member in logp:
        mean += np.exp(member)
    tiny = np.finfo(logp.dtype).tiny
    return np.asarray(np.log(np.maximum(mean / len(logp), tiny)))


def majority_vote(logp: Scores) -> Scores:
    """Votes (n, C) of the members; the uniform blend breaks ties."""
    n = logp.shape[1]
    scores = softmax(mean_log_probability(logp, uniform(len(logp))), axis=1)
    for member in logp:
        scores[np.arange(n), member.argmax(1)] += 1
    return np.asarray(scores)


UNWEIGHTED: dict[str, Callable[[Scores], Scores]] = {
    "vote": majority_vote,
    "probabilities": mean_probability,
}


def match_counts(scores: Scores, counts: Sequence[int], rounds: int = 200) -> Floats:
    """Scores (n, C) whose probabilities sum to `counts` (C,) in every class; the counts sum to n.

    Sinkhorn's scaling (1967). It helps only where the counts are exactly known: a wrong prior
    costs accuracy.
    """
    p = softmax(scores.astype(np.float64), axis=1)
    target = np.asarray(counts, np.float64)
    for _ in range(rounds):
        p *= target / np.maximum(p.sum(0), 1e-300)
        p /= np.maximum(p.sum(1, keepdims=True), 1e-300)
    return np.asarray(np.log(np.maximum(p, 1e-300)))
