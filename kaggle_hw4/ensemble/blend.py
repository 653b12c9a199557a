"""Blending in log-probability space: a temperature for each member, then a weighted mean.

Averaging raw logits would let the member with the largest scale decide. Weights are fitted by
log-loss on out-of-fold rows, and used only where nested folds say that they beat plain uniform.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

from kaggle_hw4.ensemble.evaluate import accuracy, paired_gain
from kaggle_hw4.ensemble.members import Member
from kaggle_hw4.errors import DataError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Blend:
    """What was chosen, and everything that it was chosen from."""

    members: tuple[Member, ...]
    temperatures: tuple[float, ...]
    singles: tuple[dict[str, float], ...]  # OOF accuracy of each member, on the common rows
    uniform: dict[str, float]
    weighted: dict[str, float] | None  # nested over folds; None with one member or one fold
    method: str  # single, uniform or weighted
    weights: tuple[float, ...]
    chosen: dict[str, float]
    test_labels: Array  # (N,) indices of speakers, in the order of the members' test_ids


def blend(members: Sequence[Member], labels: Mapping[str, int]) -> Blend:
    """Calibrate and average `members`; `labels` gives the true label of every training id."""
    rows = common_rows(members)
    ids = [members[0].ids[i] for i in rows[0]]
    y = np.array([labels[i] for i in ids])
    fold = members[0].fold[rows[0]]
    temperatures = [temperature(m.oof, np.array([labels[i] for i in m.ids])) for m in members]
    oof = np.stack(
        [
            log_softmax(m.oof[r] / t, axis=1)
            for m, r, t in zip(members, rows, temperatures, strict=True)
        ]
    )
    weights, method, weighted = choose(oof, y, fold)
    right = combine(oof, weights).argmax(1) == y
    uniform = oof.mean(0).argmax(1) == y
    return Blend(
        members=tuple(members),
        temperatures=tuple(temperatures),
        singles=tuple(accuracy(one.argmax(1) == y) for one in oof),
        uniform=accuracy(uniform),
        weighted=None if weighted is None else accuracy(weighted),
        method=method,
        weights=tuple(float(w) for w in weights),
        # Fitted weights are judged by the folds that they were not fitted on.
        chosen=accuracy(weighted if method == "weighted" and weighted is not None else right),
        test_labels=combine(_test(members, temperatures), weights).argmax(1),
    )


def common_rows(members: Sequence[Member]) -> list[Array]:
    """For each member, the positions of the utterances that every member has predicted."""
    shared = set(members[0].ids).intersection(*(m.ids for m in members))
    if not shared:
        covered = ", ".join(f"{m.name}: folds {list(m.folds)}" for m in members)
        raise DataError(
            f"no utterance is validated by every member ({covered})", "train the missing folds"
        )
    if any(m.test_ids != members[0].test_ids for m in members):
        raise DataError("the members predict different test sets", "train them on one corpus")
    order = sorted(shared)
    places = [dict(zip(m.ids, range(len(m.ids)), strict=True)) for m in members]
    return [np.array([place[i] for i in order]) for place in places]


def temperature(logits: Array, y: Array) -> float:
    """The T that minimises the cross-entropy of logits (n, C) / T (Guo et al. 2017)."""

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        return float((logsumexp(scaled, axis=1) - scaled[np.arange(len(y)), y]).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def choose(oof: Array, y: Array, fold: Array) -> tuple[Floats, str, Array | None]:
    """Weights (M,), what they are called, and which rows the nested weighted blend gets right.

    Weighted is chosen over uniform only when its nested gain is more than one standard error.
    """
    uniform = np.full(len(oof), 1 / len(oof))
    if len(oof) == 1:
        return uniform, "single", None
    if len(np.unique(fold)) < 2:
        return uniform, "uniform", None
    weighted = np.zeros(len(y), bool)
    for held_out in np.unique(fold):
        out = fold == held_out
        weights = fit_weights(oof[:, ~out], y[~out])
        weighted[out] = combine(oof[:, out], weights).argmax(1) == y[out]
    gain, error = paired_gain(weighted, combine(oof, uniform).argmax(1) == y)
    if gain > error:
        return fit_weights(oof, y), "weighted", weighted
    return uniform, "uniform", weighted


def fit_weights(logp: Array, y: Array) -> Floats:
    """Weights (M,), none negative and summing to 1, that minimise the log-loss of the blend.

    logp: (M, n, C) log-probabilities; y: (n,).
    """
    own = logp[:, np.arange(len(y)), y]  # (M, n)

    def loss(theta: Floats) -> tuple[float, Floats]:
        w = softmax(theta)
        mixed = combine(logp, w)
        probability = softmax(mixed, axis=1)
        value = (logsumexp(mixed, axis=1) - w @ own).mean()
        slope = (np.einsum("mnc,nc->mn", logp, probability) - own).mean(1)
        return float(value), w * (slope - w @ slope)

    found = minimize(loss, np.zeros(len(logp)), jac=True, method="L-BFGS-B")
    return np.asarray(softmax(found.x), np.float64)


def combine(logp: Array, weights: Floats) -> Array:
    """The weighted mean (n, C) of log-probabilities (M, n, C)."""
    return np.tensordot(weights, logp, axes=1)


def _test(members: Sequence[Member], temperatures: Sequence[float]) -> Array:
    """Log-probabilities (M, N, C) of the test utterances, each a mean over the member's folds."""
    return np.stack(
        [
            log_softmax(m.test / t, axis=2).mean(0)
            for m, t in zip(members, temperatures, strict=True)
        ]
    )
