"""Weights of a blend, fitted by log-loss on out-of-fold rows.

They are fitted on each row's likeliest classes only (and the true one): the others hardly add to
a log-loss, and there are hundreds of them. What a blend is worth is always counted on all classes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

from kaggle_hw4.ensemble.combine import mean_log_probability, uniform

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Fit = Callable[[Array, Array], Floats]

SHORT = 32  # classes on a shortlist
CALIBRATION_ROWS = 8192  # one number does not need more
BAGS, BAG_ROWS, PICKS = 10, 4096, 25
PRIOR_ROWS = 100  # weights are drawn to uniform as if so many rows had asked for it


def temperature(logits: Array, y: Array) -> float:
    """The T that minimises the cross-entropy of logits (n, C) / T (Guo et al. 2017).

    It may grow to a thousand, which silences a member that knows nothing: equal log-probabilities
    change no blend.
    """
    sample = slice(None, None, -(-len(y) // CALIBRATION_ROWS))
    logits, y = logits[sample], y[sample]

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        return float((logsumexp(scaled, axis=1) - scaled[np.arange(len(y)), y]).mean())

    found = minimize_scalar(loss, bounds=(-3, 7), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))


def shortlist(logp: Array, y: Array) -> tuple[Array, Array]:
    """The log-probabilities (M, n, K) of each row's likeliest classes, and where y stands (n,)."""
    size = min(SHORT, logp.shape[2])
    mean = mean_log_probability(logp, uniform(len(logp)))
    mean[np.arange(len(y)), y] = np.inf  # the true class is always on the list
    top = np.argpartition(-mean, size - 1, axis=1)[:, :size]
    values = np.stack([np.take_along_axis(one, top, axis=1) for one in logp])
    return values, (top == y[:, None]).argmax(1)


def greedy_weights(logp: Array, own: Array) -> Floats:
    """Weights (M,) by greedy selection with replacement, bagged (Caruana et al. 2004).

    logp: (M, n, K); own: (n,), the true class's place. Every bag draws half of the members and as
    many rows as there are, BAG_ROWS at most.
    """
    random = np.random.default_rng(0)
    count, n = logp.shape[:2]
    flat = mean_log_probability(logp, uniform(count))
    # A mean of log-probabilities is too flat; unless sharpened, log-loss would shun any company.
    sharp = logp / logp.dtype.type(temperature(flat, own))
    total = np.zeros(count)
    for _ in range(BAGS):
        members = random.permutation(count)[: max(2, -(-count // 2))]
        rows = random.integers(0, n, min(n, BAG_ROWS))
        total[members] += _select(sharp[np.ix_(members, rows)], own[rows])
    return np.asarray(total / total.sum(), np.float64)


def _select(logp: Array, own: Array) -> Floats:
    """The shares (M,) in which members are picked, cut where the log-loss was lowest."""
    at = np.arange(len(own))
    blend, picks, losses = np.zeros_like(logp[0]), list[int](), list[float]()
    for size in range(1, PICKS + 1):
        trial = (blend + logp) / logp.dtype.type(size)
        right = (trial.argmax(2) == own).mean(1)
        loss = (_log_sum_exp(trial) - trial[:, at, own]).mean(1)
        best = int(np.lexsort((-right, loss.round(4)))[0])  # accuracy decides between equals
        picks.append(best)
        losses.append(float(loss[best]))
        blend += logp[best]
    kept = picks[: int(np.argmin(losses)) + 1]
    return np.asarray(np.bincount(kept, minlength=len(logp)) / len(kept), np.float64)


def linear_weights(logp: Array, own: Array) -> Floats:
    """Log-linear weights (M,), none negative and summing to 1, drawn towards uniform.

    logp: (M, n, K); own: (n,). Minimises the log-loss of the sharpened blend plus
    PRIOR_ROWS / n · KL(uniform ‖ weights), the logarithm of a Dirichlet prior.
    """
    count, n = logp.shape[:2]
    flat, at = logp.reshape(count, -1), np.arange(n)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        w, sharpness = softmax(parameters[:-1]), np.exp(parameters[-1])
        mixed = (w.astype(logp.dtype) @ flat).reshape(n, -1)
        scores = logp.dtype.type(sharpness) * mixed
        total = _log_sum_exp(scores)
        slope = np.exp(scores - total[:, None])
        slope[at, own] -= 1
        value = (total - scores[at, own]).mean(dtype=np.float64)
        value -= PRIOR_ROWS / n * log_softmax(parameters[:-1]).mean()
        by_w = sharpness * (flat @ slope.ravel()) / n
        by_theta = w * (by_w - w @ by_w) + PRIOR_ROWS / n * (w - 1 / count)
        by_sharpness = sharpness * float(slope.ravel() @ mixed.ravel()) / n
        return float(value), np.append(by_theta, by_sharpness)

    found = minimize(loss, np.zeros(count + 1), jac=True, method="L-BFGS-B")
    return np.asarray(softmax(found.x[:-1]), np.float64)


def _log_sum_exp(x: Array) -> Array:
    """Over the last axis; scipy's own takes three times as long."""
    largest = x.max(-1, keepdims=True)
    return np.asarray(np.log(np.exp(x - largest).sum(-1)) + largest[..., 0])


FITS: dict[str, Fit] = {"greedy": greedy_weights, "log-linear": linear_weights}
