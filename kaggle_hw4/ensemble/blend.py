"""Blending in log-probability space: a temperature for each member, then a mean.

Averaging raw logits would let the member with the largest scale decide. Fitted weights are used
only where nested folds say that they beat plain uniform by more than one standard error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from kaggle_hw4.ensemble.combine import UNWEIGHTED, match_counts, mean_log_probability, uniform
from kaggle_hw4.ensemble.members import Member
from kaggle_hw4.ensemble.weights import FITS, shortlist, temperature
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.metrics import accuracy, disagreement, paired

Array = npt.NDArray[Any]
METHODS = ("auto", "uniform", *FITS, *UNWEIGHTED)


@dataclass(frozen=True)
class Blend:
    """What was chosen, and everything that it was chosen from."""

    members: tuple[Member, ...]
    temperatures: tuple[float, ...]
    singles: tuple[dict[str, float], ...]  # OOF accuracy of each member, on the common rows
    candidates: dict[str, dict[str, float]]  # OOF accuracy by method; fitted ones by nested folds
    method: str  # "single", or one of METHODS without auto
    weights: tuple[float, ...]
    chosen: dict[str, float]
    differences: dict[str, dict[str, float]]  # of the chosen to what it is named after
    disagreement: list[list[float]]
    test_labels: Array  # (N,) indices of speakers, in the order of the members' test_ids


@dataclass(frozen=True)
class Stack:
    """The calibrated members on the rows that all of them predicted out of fold."""

    logp: Array  # (M, n, C) log-probabilities, float32
    temperatures: tuple[float, ...]
    y: Array  # (n,)
    fold: Array  # (n,)

    def accuracy(self, right: Array) -> dict[str, float]:
        """What `right` (n,) says, every speaker counting the same in every fold."""
        return accuracy(right, self.y, self.fold)

    def paired(self, ours: Array, theirs: Array) -> dict[str, float]:
        return paired(ours, theirs, self.y, self.fold)


def blend(
    members: Sequence[Member],
    labels: Mapping[str, int],
    method: str = "auto",
    counts: Sequence[int] | None = None,
) -> Blend:
    """Calibrate and average `members`; `labels` gives the true label of every training id.

    `counts` are the numbers of test utterances of every speaker, where somebody knows them.
    """
    if method not in METHODS:
        raise UsageError(f"--method {method}: a blend is one of {', '.join(METHODS)}")
    stack = stack_members(members, labels)
    right = {name: scores.argmax(1) == stack.y for name, scores in _plain(stack, method)}
    right |= nested(stack, method)
    candidates = {name: stack.accuracy(hits) for name, hits in right.items()}
    name = choose(candidates, right, stack) if method == "auto" else method
    if name not in right:
        raise UsageError(f"--method {name}: there is one member alone: nothing to weigh")
    weights = _weights(stack, name)
    predicted = np.stack([one.argmax(1) for one in stack.logp])
    singles = predicted == stack.y
    evaluated = tuple(stack.accuracy(one) for one in singles)
    others = {"best single": singles[np.argmax([one["accuracy"] for one in evaluated])], **right}
    return Blend(
        members=tuple(members),
        temperatures=stack.temperatures,
        singles=evaluated,
        candidates=candidates,
        method="single" if len(members) == 1 else name,
        weights=tuple(float(w) for w in weights),
        chosen=candidates[name],
        differences={k: stack.paired(right[name], v) for k, v in others.items() if k != name},
        disagreement=disagreement(predicted),
        test_labels=_test_scores(members, stack.temperatures, name, weights, counts).argmax(1),
    )


def stack_members(members: Sequence[Member], labels: Mapping[str, int]) -> Stack:
    """Read and calibrate one member after the other."""
    rows = common_rows(members)
    y = np.array([labels[members[0].ids[i]] for i in rows[0]])
    temperatures, logp = [], np.empty((0,))
    for k, (member, chosen) in enumerate(zip(members, rows, strict=True)):
        logits = member.oof()[chosen]
        temperatures.append(temperature(logits, y))
        if k == 0:
            logp = np.empty((len(members), *logits.shape), np.float32)
        logp[k] = log_softmax(logits / np.float32(temperatures[k]), axis=1)
    return Stack(logp, tuple(temperatures), y, members[0].fold[rows[0]])


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


def _plain(stack: Stack, method: str) -> list[tuple[str, Array]]:
    """Blends that need no fitting: uniform always, the others where they are asked for."""
    found = [("uniform", mean_log_probability(stack.logp, uniform(len(stack.logp))))]
    if method in UNWEIGHTED:
        found.append((method, UNWEIGHTED[method](stack.logp)))
    return found


def nested(stack: Stack, method: str) -> dict[str, Array]:
    """Which rows (n,) a fitted blend gets right, its weights fitted without the row's fold."""
    wanted = [name for name in FITS if method in ("auto", name)]
    # Of a single fold, halves of the speakers take the place of folds.
    part = stack.fold if len(np.unique(stack.fold)) > 1 else stack.y % 2
    if len(stack.logp) == 1 or len(np.unique(part)) < 2 or not wanted:
        return {}
    short, own = shortlist(stack.logp, stack.y)
    right = {name: np.zeros(len(stack.y), bool) for name in wanted}
    for held_out in np.unique(part):
        out = part == held_out
        for name in wanted:
            weights = FITS[name](short[:, ~out], own[~out])
            scores = mean_log_probability(stack.logp, weights, out)
            right[name][out] = scores.argmax(1) == stack.y[out]
    return right


def choose(
    candidates: Mapping[str, dict[str, float]], right: Mapping[str, Array], stack: Stack
) -> str:
    """The best of the blends, or uniform unless that one is better by one standard error."""
    best = max(right, key=lambda name: (candidates[name]["accuracy"], name == "uniform"))
    gain = stack.paired(right[best], right["uniform"])
    return best if gain["difference"] > gain["standard_error"] else "uniform"


def _weights(stack: Stack, name: str) -> Array:
    return FITS[name](*shortlist(stack.logp, stack.y)) if name in FITS else uniform(len(stack.logp))


def _test_scores(
    members: Sequence[Member],
    temperatures: Sequence[float],
    name: str,
    weights: Array,
    counts: Sequence[int] | None,
) -> Array:
    """The blend's scores (N, C) of the test utterances, each member a mean over its folds."""
    logp = np.stack(
        [
            np.mean([log_softmax(x / np.float32(t), axis=1) for x in member.test()], axis=0)
            for member, t in zip(members, temperatures, strict=True)
        ]
    )
    unweighted = UNWEIGHTED.get(name)
    scores = unweighted(logp) if unweighted else mean_log_probability(logp, weights)
    return scores if counts is None else match_counts(scores, counts)
