"""From the log-probabilities (M, n, C) of M members to the scores (n, C) of one blend."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from kaggle_hw4.logits import AnyLogits, LowRankLogits, Rows, blocks, dense, row_blocks
from kaggle_hw4.metrics import Bools, Floats, Ints

Scores: TypeAlias = npt.NDArray[np.floating[Any]]  # logits or log-probabilities, mostly float32
Combine: TypeAlias = Callable[[Scores], Scores]  # from (M, n, C) to (n, C)


@dataclass(frozen=True)
class LowRankScores:
    """Log-probabilities (M, n, C) of M members, of some of them with low rank."""

    members: tuple[AnyLogits, ...]

    dtype: ClassVar = np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def shape(self) -> tuple[int, int, int]:
        n, classes = self.members[0].shape
        return len(self), n, classes

    def __getitem__(self, chosen: slice) -> "LowRankScores":
        """Some of the members."""
        return LowRankScores(self.members[chosen])

    def at(self, rows: Rows) -> "LowRankScores":
        """Some of the utterances."""
        return LowRankScores(tuple(member[rows] for member in self.members))


AnyScores: TypeAlias = Scores | LowRankScores


def stacked(members: Sequence[AnyLogits]) -> AnyScores:
    """The log-probabilities (M, n, C) of members (n, C)."""
    matrices = [each for each in members if not isinstance(each, LowRankLogits)]
    return np.stack(matrices) if len(matrices) == len(members) else LowRankScores(tuple(members))


def dense_scores(logp: AnyScores) -> Scores:
    """The array (M, n, C) itself."""
    if not isinstance(logp, LowRankScores):
        return logp
    scores = np.empty(logp.shape, np.float32)
    for own, member in zip(scores, logp.members, strict=True):
        own[:] = dense(member)
    return scores


def score_blocks(logp: AnyScores) -> Iterator[tuple[Rows, Scores]]:
    """Rows, and their log-probabilities (M, rows, C): an array at once, others some at a time."""
    if not isinstance(logp, LowRankScores):
        yield slice(None), logp
        return
    _, n, classes = logp.shape
    parts = [each.part for each in logp.members if isinstance(each, LowRankLogits)]
    for rows in row_blocks(parts[0] if parts else np.zeros(n, np.int64), classes):
        yield rows, dense_scores(logp.at(rows))


def blend_scores(logp: AnyScores, combine: Combine) -> Scores:
    """The scores (n, C) of a blend of log-probabilities (M, n, C)."""
    if not isinstance(logp, LowRankScores):
        return combine(logp)
    scores = np.empty(logp.shape[1:], np.float32)
    for rows, block in score_blocks(logp):
        scores[rows] = combine(block)
    return scores


def likeliest(logp: AnyScores, combine: Combine) -> Ints:
    """The classes (n,) with the highest scores, which are never all in memory."""
    labels = np.empty(logp.shape[1], np.int64)
    for rows, block in score_blocks(logp):
        labels[rows] = combine(block).argmax(1)
    return labels


def likeliest_of_mean(logp: AnyScores, weights: Floats, rows: Bools | None = None) -> Ints:
    """The same of the weighted mean of log-probabilities, of some `rows` (n,) or of all."""
    if not isinstance(logp, LowRankScores):
        chosen = slice(None) if rows is None else rows
        return np.asarray(mean_log_probability(logp, weights, chosen).argmax(1))
    mean = partial(mean_log_probability, weights=weights)
    return likeliest(logp if rows is None else logp.at(rows), mean)


def likeliest_of_each(logp: AnyScores) -> Ints:
    """The likeliest classes (M, n) of every member."""
    labels = np.empty(logp.shape[:2], np.int64)
    members = logp.members if isinstance(logp, LowRankScores) else logp
    for own, member in zip(labels, members, strict=True):
        for rows, block in blocks(member):
            own[rows] = block.argmax(1)
    return labels


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


UNWEIGHTED: dict[str, Combine] = {
    "vote": majority_vote,
    "probabilities": mean_probability,
}


def match_counts(scores: Scores, counts: Sequence[int], rounds: int = 200) -> Floats:
    """Scores (n, C) whose probabilities sum to `counts` (C,) in every class; the counts sum to n.

    Sinkhorn's scaling (1967). It helps only where the counts are exactly known: a wrong prior
    costs accuracy. Every round needs all probabilities: one matrix of them is in memory, and what
    else is computed with is a block of its rows.
    """
    p, target = np.empty(scores.shape, np.float64), np.asarray(counts, np.float64)
    rows = row_blocks(np.zeros(len(scores), np.int64), scores.shape[1])
    for block in rows:
        p[block] = softmax(scores[block].astype(np.float64), axis=1)
    for _ in range(rounds):
        p *= target / np.maximum(p.sum(0), 1e-300)
        p /= np.maximum(p.sum(1, keepdims=True), 1e-300)
    for block in rows:
        p[block] = np.log(np.maximum(p[block], 1e-300))
    return p
