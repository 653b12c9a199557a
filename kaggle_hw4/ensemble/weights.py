"""Weights of a blend, fitted by log-loss on out-of-fold utterances.

They are fitted on a shortlist of each utterance's likeliest classes (and the true one): the other
hundreds hardly add to the log-loss. The accuracy of a blend is always computed over all classes.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

from kaggle_hw4.ensemble.combine import (
    AnyScores,
    Scores,
    mean_log_probability,
    score_blocks,
    uniform,
)
from kaggle_hw4.logits import AnyLogits, dense
from kaggle_hw4.metrics import Floats, Ints

# From log-probabilities (M, n, K) and the true classes' places (n,) to weights (M,).
Fit = Callable[[Scores, Ints], Floats]

SHORT = 32  # K, the classes on a shortlist
CALIBRATION_ROWS = 8192  # enough for a single parameter
CALIBRATION_LOGITS = 2**25  # of many classes, fewer rows: they must be in memory
CALIBRATION_BLOCK = 2**23  # of these logits, a temperature is tried on so many at a time
BAGS, BAG_ROWS, PICKS = 10, 4096, 25
PRIOR_ROWS = 100  # the prior weighs as much as so many utterances


def temperature(logits: AnyLogits, y: Ints) -> float:
    """The T that minimises the cross-entropy of logits (n, C) / T; y: (n,) (Guo et al. 2017).

    It may grow to a thousand for a member whose logits are uninformative: its log-probabilities
    become equal, and change no blend.
    """
    rows = min(CALIBRATION_ROWS, CALIBRATION_LOGITS // logits.shape[1])
    sample = slice(None, None, -(-len(y) // rows))
    some, y = dense(logits[sample]), y[sample]

    size, losses = max(1, CALIBRATION_BLOCK // logits.shape[1]), np.empty(len(y))

    def loss(log_t: float) -> float:
        for start in range(0, len(y), size):
            block = slice(start, start + size)
            scaled, own = some[block] / np.exp(log_t), y[block]
            losses[block] = logsumexp(scaled, axis=1) - scaled[np.arange(len(own)), own]
        return float(losses.mean())

    optimum = minimize_scalar(loss, bounds=(-3, 7), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(optimum.x))


def shortlist(logp: AnyScores, y: Ints) -> tuple[Scores, Ints]:
    """The log-probabilities (M, n, K) of each utterance's likeliest classes, out of (M, n, C), and
    the place (n,) of the true class y (n,) among them.
    """
    members, n, classes = logp.shape
    size = min(SHORT, classes)
    values, target = np.empty((members, n, size), logp.dtype), np.empty(n, np.int64)
    for rows, block in score_blocks(logp):
        mean, own = mean_log_probability(block, uniform(members)), y[rows]
        mean[np.arange(len(own)), own] = np.inf  # the true class is always on the list
        top = np.argpartition(-mean, size - 1, axis=1)[:, :size]
        values[:, rows] = [np.take_along_axis(member, top, axis=1) for member in block]
        target[rows] = (top == own[:, None]).argmax(1)
    return values, target


def greedy_weights(logp: Scores, target: Ints) -> Floats:
    """Weights (M,) by greedy selection with replacement, bagged (Caruana et al. 2004).

    logp: (M, n, K); target: (n,), the true class's place. Every bag draws half of the members, and
    n utterances with replacement (at most BAG_ROWS).
    """
    random = np.random.default_rng(0)
    count, n = logp.shape[:2]
    flat = mean_log_probability(logp, uniform(count))
    # A mean of log-probabilities is underconfident: unless the members are sharpened, log-loss
    # would prefer a single member to any blend.
    sharp = logp / logp.dtype.type(temperature(flat, target))
    total = np.zeros(count)
    for _ in range(BAGS):
        members = random.permutation(count)[: max(2, -(-count // 2))]
        rows = random.integers(0, n, min(n, BAG_ROWS))
        total[members] += _select(sharp[np.ix_(members, rows)], target[rows])
    return np.asarray(total / total.sum(), np.float64)


def _select(logp: Scores, target: Ints) -> Floats:
    """The shares (M,) of the picks, up to the pick with the lowest log-loss of one bag."""
    rows = np.arange(len(target))
    blend, picks, losses = np.zeros_like(logp[0]), list[int](), list[float]()
    for size in range(1, PICKS + 1):
        trial = (blend + logp) / logp.dtype.type(size)
        accuracy = (trial.argmax(2) == target).mean(1)
        loss = (_log_sum_exp(trial) - trial[:, rows, target]).mean(1)
        best = int(np.lexsort((-accuracy, loss.round(4)))[0])  # accuracy decides between equals
        picks.append(best)
        losses.append(float(loss[best]))
        blend += logp[best]
    kept = picks[: int(np.argmin(losses)) + 1]
    return np.asarray(np.bincount(kept, minlength=len(logp)) / len(kept), np.float64)


def linear_weights(logp: Scores, target: Ints) -> Floats:
    """Log-linear weights (M,), none negative and summing to 1, regularised towards uniform.

    logp: (M, n, K); target: (n,), the true class's place. Minimises the log-loss of the sharpened
    blend plus PRIOR_ROWS / n · KL(uniform ‖ weights), which is a Dirichlet prior. The parameters
    are the logits of the weights and the logarithm of the sharpness (an inverse temperature).
    """
    count, n = logp.shape[:2]
    flat, rows = logp.reshape(count, -1), np.arange(n)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        w, sharpness = softmax(parameters[:-1]), np.exp(parameters[-1])
        mixed = (w.astype(logp.dtype) @ flat).reshape(n, -1)
        scores = logp.dtype.type(sharpness) * mixed
        total = _log_sum_exp(scores)
        gradient = np.exp(scores - total[:, None])
        gradient[rows, target] -= 1
        value = (total - scores[rows, target]).mean(dtype=np.float64)
        value -= PRIOR_ROWS / n * log_softmax(parameters[:-1]).mean()
        d_w = sharpness * (flat @ gradient.ravel()) / n
        d_logits = w * (d_w - w @ d_w) + PRIOR_ROWS / n * (w - 1 / count)
        d_log_sharpness = sharpness * float(gradient.ravel() @ mixed.ravel()) / n
        return float(value), np.append(d_logits, d_log_sharpness)

    optimum = minimize(loss, np.zeros(count + 1), jac=True, method="L-BFGS-B")
    return np.asarray(softmax(optimum.x[:-1]), np.float64)


def _log_sum_exp(x: Scores) -> Scores:
    """Over the last axis; scipy's own takes three times as long."""
    largest = x.max(-1, keepdims=True)
    return np.asarray(np.log(np.exp(x - largest).sum(-1)) + largest[..., 0])


FITS: dict[str, Fit] = {"greedy": greedy_weights, "log-linear": linear_weights}
