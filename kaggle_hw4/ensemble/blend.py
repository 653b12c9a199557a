"""Blending in log-probability space: a temperature for each member, then a mean.

In a mean of raw logits, the member with the largest scale would dominate. Fitted weights are used
only where cross-fitting over folds shows that they beat the uniform mean by more than one standard
error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from kaggle_hw4.ensemble.combine import (
    UNWEIGHTED,
    AnyScores,
    Combine,
    LowRankScores,
    blend_scores,
    likeliest,
    likeliest_of_each,
    likeliest_of_mean,
    match_counts,
    mean_log_probability,
    stacked,
    uniform,
)
from kaggle_hw4.ensemble.members import Member
from kaggle_hw4.ensemble.weights import FITS, shortlist, temperature
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.logits import AnyLogits, LowRankLogits, log_softmax, mean
from kaggle_hw4.metrics import (
    Accuracy,
    Bools,
    Floats,
    Ints,
    PairedDifference,
    accuracy,
    disagreement,
    paired,
)
from kaggle_hw4.progress import Bar, counted, no_bar

METHODS = ("auto", "uniform", *FITS, *UNWEIGHTED)


@dataclass(frozen=True)
class Blend:
    """The chosen blend, and the candidates that it was chosen from. Accuracies are out of fold."""

    members: tuple[Member, ...]
    temperatures: tuple[float, ...]
    singles: tuple[Accuracy, ...]  # of each member, on the utterances that all of them predicted
    candidates: Mapping[str, Accuracy]  # by method; fitted weights are cross-fitted
    method: str  # one of METHODS without auto, or "single" where there is one member
    weights: tuple[float, ...]  # of the members, summing to 1
    chosen: Accuracy
    differences: Mapping[str, PairedDifference]  # chosen minus the best single, and minus the rest
    disagreement: list[list[float]]  # (M, M) shares of utterances
    test_labels: Ints  # (N,) indices of speakers, in the order of the members' test_ids


@dataclass(frozen=True)
class Stack:
    """The calibrated members on the utterances that all of them predicted out of fold."""

    logp: AnyScores  # (M, n, C)
    temperatures: tuple[float, ...]  # M of them
    y: Ints  # (n,) true labels
    fold: Ints  # (n,)

    def accuracy(self, correct: Bools) -> Accuracy:
        """The accuracy of predictions that are `correct` (n,) or not."""
        return accuracy(correct, self.y, self.fold)

    def paired(self, first: Bools, second: Bools) -> PairedDifference:
        """The difference in accuracy of two predictions, each correct or not: (n,)."""
        return paired(first, second, self.y, self.fold)


def blend(
    members: Sequence[Member],
    labels: Mapping[str, int],
    method: str = "auto",
    counts: Sequence[int] | None = None,
    bar: Bar = no_bar,
) -> Blend:
    """Calibrate and average `members`; `labels` gives the true label of every training id.

    `counts` are the numbers of test utterances of every speaker, where they are known.
    `bar(name)` makes the progress of a stage. UsageError: no such method, or weights for one member
    alone. DataError: the members share no utterance.
    """
    # Out of fold: which method is the best, and by how much.
    stack = stack_members(members, labels, bar)
    correct = correct_out_of_fold(stack, method, bar)
    candidates = {name: stack.accuracy(hits) for name, hits in correct.items()}
    name = choose(candidates, correct, stack) if method == "auto" else method
    predictions = likeliest_of_each(stack.logp)
    singles = tuple(stack.accuracy(prediction == stack.y) for prediction in predictions)
    best = max(range(len(singles)), key=lambda k: singles[k].accuracy)
    others = {"best single": predictions[best] == stack.y, **correct}
    # The test set: weights are fitted again, on all utterances.
    weights = _weights(stack, name)
    logp = _test_scores(members, stack.temperatures, bar)
    combine = UNWEIGHTED.get(name) or partial(mean_log_probability, weights=weights)
    return Blend(
        members=tuple(members),
        temperatures=stack.temperatures,
        singles=singles,
        candidates=candidates,
        method="single" if len(members) == 1 else name,
        weights=tuple(float(w) for w in weights),
        chosen=candidates[name],
        differences={k: stack.paired(correct[name], v) for k, v in others.items() if k != name},
        disagreement=disagreement(predictions),
        test_labels=_matched(logp, combine, counts)
        if counts is not None
        else likeliest(logp, combine),
    )


def accuracy_of(
    members: Sequence[Member], labels: Mapping[str, int], method: str, bar: Bar = no_bar
) -> Accuracy:
    """The accuracy out of fold of one method (not auto), as `blend` computes it.

    Reads no logits of the test set.
    """
    stack = stack_members(members, labels, bar)
    return stack.accuracy(correct_out_of_fold(stack, method, bar)[method])


def stack_members(members: Sequence[Member], labels: Mapping[str, int], bar: Bar = no_bar) -> Stack:
    """Read and calibrate one member after the other: besides the stack, only the logits of one are
    in memory. `labels` gives the true label of every training id.
    """
    rows = common_rows(members)
    y = np.array([labels[members[0].ids[i]] for i in rows[0]])
    temperatures: list[float] = []
    logp: list[AnyLogits] = []
    pairs = list(zip(members, rows, strict=True))
    for k, (member, chosen) in enumerate(counted(pairs, bar("calibration"))):
        logits = member.oof()[chosen]
        temperatures.append(temperature(logits, y))
        if k == 0:  # of low rank, nothing is ever written to it
            matrices = np.empty((len(members), *logits.shape), np.float32)
        calibrated = log_softmax(logits, temperatures[k])
        if not isinstance(calibrated, LowRankLogits):
            matrices[k] = calibrated
            calibrated = matrices[k]
        logp.append(calibrated)
    dense = not any(isinstance(each, LowRankLogits) for each in logp)
    scores = matrices if dense else LowRankScores(tuple(logp))
    return Stack(scores, tuple(temperatures), y, members[0].fold[rows[0]])


def common_rows(members: Sequence[Member]) -> list[Ints]:
    """For each member, the positions (n,) of the utterances that every member has predicted."""
    shared = set(members[0].ids).intersection(*(m.ids for m in members))
    if not shared:
        covered = ", ".join(f"{m.name}: folds {list(m.folds)}" for m in members)
        raise DataError(
            f"no utterance is validated by every member ({covered})", "train the missing folds"
        )
    if any(m.test_ids != members[0].test_ids for m in members):
        raise DataError("the members predict different test sets", "train them on one corpus")
    order = sorted(shared)
    positions = [dict(zip(m.ids, range(len(m.ids)), strict=True)) for m in members]
    return [np.array([position[i] for i in order]) for position in positions]


def correct_out_of_fold(stack: Stack, method: str, bar: Bar = no_bar) -> dict[str, Bools]:
    """Which utterances (n,) the blends that `method` asks for get right; uniform is always one."""
    if method not in METHODS:
        known = f"a blend is one of {', '.join(METHODS)}"
        raise UsageError(f"there is no method {method!r}", known, parameter="method")
    correct = {"uniform": likeliest_of_mean(stack.logp, uniform(len(stack.logp))) == stack.y}
    if method in UNWEIGHTED:
        correct[method] = likeliest(stack.logp, UNWEIGHTED[method]) == stack.y
    correct |= cross_fit(stack, method, bar)
    if method not in ("auto", *correct):
        what = f"there is one member alone: {method} weights need several"
        raise UsageError(what, parameter="method")
    return correct


def cross_fit(stack: Stack, method: str, bar: Bar = no_bar) -> dict[str, Bools]:
    """Which utterances (n,) a blend gets right whose weights were fitted without their fold.

    By method; {} where `method` asks for no fitted weights, or there is nothing to fit.
    """
    methods = [name for name in FITS if method in ("auto", name)]
    # Where there is a single fold, halves of the speakers take the place of folds.
    part = stack.fold if len(np.unique(stack.fold)) > 1 else stack.y % 2
    if len(stack.logp) == 1 or len(np.unique(part)) < 2 or not methods:
        return {}
    short, target = shortlist(stack.logp, stack.y)
    correct = {name: np.zeros(len(stack.y), np.bool_) for name in methods}
    fits = [(held_out, name) for held_out in np.unique(part) for name in methods]
    for held_out, name in counted(fits, bar("weights")):
        out = part == held_out
        weights = FITS[name](short[:, ~out], target[~out])
        correct[name][out] = likeliest_of_mean(stack.logp, weights, out) == stack.y[out]
    return correct


def choose(candidates: Mapping[str, Accuracy], correct: Mapping[str, Bools], stack: Stack) -> str:
    """The most accurate method if it beats uniform by one standard error, else uniform."""
    best = max(correct, key=lambda name: (candidates[name].accuracy, name == "uniform"))
    gain = stack.paired(correct[best], correct["uniform"])
    return best if gain.difference > gain.standard_error else "uniform"


def _weights(stack: Stack, name: str) -> Floats:
    return FITS[name](*shortlist(stack.logp, stack.y)) if name in FITS else uniform(len(stack.logp))


def _test_scores(members: Sequence[Member], temperatures: Sequence[float], bar: Bar) -> AnyScores:
    """Log-probabilities (M, N, C) of the test utterances, each member's the mean of its folds'."""
    pairs = list(zip(members, temperatures, strict=True))
    return stacked(
        [
            mean([log_softmax(logits, t) for logits in member.test()])
            for member, t in counted(pairs, bar("test set"))
        ]
    )


def _matched(logp: AnyScores, combine: Combine, counts: Sequence[int]) -> Ints:
    """The classes (N,) where there are so many utterances of each; all scores are in memory."""
    return np.asarray(match_counts(blend_scores(logp, combine), counts).argmax(1))
