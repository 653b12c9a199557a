"""Two groups of runs compared: where the one is better, and what it has learnt instead."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_hw4.competition import LADDER
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.metrics import Accuracy, PairedDifference, paired
from kaggle_hw4.report.groups import Group, logged
from kaggle_hw4.report.predictions import GroupPredictions, Predictions, in_common

MOST = 3  # comparisons in a report
BINS = 10  # of confidence


@dataclass(frozen=True)
class Difference:
    """Two groups on the same utterances; `paired` is first minus second."""

    first: Accuracy
    second: Accuracy
    paired: PairedDifference
    both: int  # utterances that both get right
    neither: int


@dataclass(frozen=True)
class SpeakerDifference:
    """Accuracies on a speaker's utterances."""

    speaker: str
    first: float
    second: float
    n: int


@dataclass(frozen=True)
class LengthDifference:
    """Accuracies on utterances of `low` to `high` frames."""

    low: int
    high: int
    first: float
    second: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """How often predictions of some confidence are right; `error` is the expected one (ECE)."""

    confidence: tuple[float, ...]  # means of the bins that hold any
    accuracy: tuple[float, ...]
    n: tuple[int, ...]
    error: float
    overconfidence: float  # mean confidence less accuracy


@dataclass(frozen=True)
class Curve:
    """The mean over a group's runs at each step that all of them logged."""

    steps: tuple[int, ...]
    training: tuple[float, ...]  # accuracy on training segments
    validated: tuple[int, ...]
    validation: tuple[float, ...]


@dataclass(frozen=True)
class ModelComparison:
    """`new` is on sessions held out of the training, `known` on sessions that were trained on."""

    first: str
    second: str
    new: Difference | None
    known: Difference | None
    speakers: tuple[SpeakerDifference, ...]  # most in favour of the first one first
    lengths: tuple[LengthDifference, ...]
    calibration: tuple[Calibration, Calibration]
    curves: tuple[Curve, Curve]


def choose_pairs(
    groups: Sequence[GroupPredictions], wanted: Collection[str] = ()
) -> list[tuple[int, int]]:
    """Which groups to compare: the best of each variant with that of the variant below it, the
    highest rungs first; of one variant alone, the two best groups.

    With the names of `wanted` groups, each of these, with any other where none is below it.
    """
    best = _best_of_variants(groups)
    if not wanted and len(best) == 1:
        order = sorted(range(len(groups)), key=lambda i: -groups[i].group.accuracy)
        return [(order[0], order[1])] if len(order) > 1 else []
    ladder = [i for i in best if groups[i].group.variant in LADDER]
    chosen = [*ladder[::-1], *(i for i in best if i not in ladder)]
    if wanted:
        chosen = [i for i, each in enumerate(groups) if each.group.name in wanted]
    pairs = [(i, _partner(groups, i, best, bool(wanted))) for i in chosen]
    return [(i, k) for i, k in pairs if k is not None][:MOST]


def _best_of_variants(groups: Sequence[GroupPredictions]) -> list[int]:
    """The most accurate group of each variant, in their order."""
    best: dict[str, int] = {}
    for i, each in enumerate(groups):
        kept = best.get(each.group.variant)
        if kept is None or each.group.accuracy > groups[kept].group.accuracy:
            best[each.group.variant] = i
    return sorted(best.values())


def _partner(
    groups: Sequence[GroupPredictions], i: int, best: Sequence[int], needed: bool
) -> int | None:
    """What a group is compared with: the rung below it; for a variant of no rung, the one that it
    is named after, else the best. None for the lowest rung, unless `needed`.
    """
    variant = groups[i].group.variant
    others = [k for k in best if k != i]
    if variant in LADDER:
        below = [k for k in others if groups[k].group.variant in LADDER[: LADDER.index(variant)]]
        if below or not needed:
            return below[-1] if below else None
    named = [k for k in others if variant.startswith(groups[k].group.variant)]
    others = named or others or [k for k in range(len(groups)) if k != i]
    return max(others, key=lambda k: groups[k].group.accuracy, default=None)


def compare_groups(
    first: GroupPredictions, second: GroupPredictions, corpus: Corpus
) -> ModelComparison | None:
    """The comparison of two groups on the same fold table; None where they share no utterance."""
    validation = in_common(first.validation, second.validation)
    if not len(validation[0].rows):
        return None
    by_session = first.group.by == "session"
    known = None if by_session else validation
    if by_session and first.seen_session and second.seen_session:
        known = in_common(first.seen_session, second.seen_session)
    names = _names(first.group, second.group)
    return ModelComparison(
        first=names[0],
        second=names[1],
        new=_difference(*validation) if by_session else None,
        known=_difference(*known) if known and len(known[0].rows) else None,
        speakers=_by_speaker(*validation, corpus),
        lengths=_by_length(*validation, corpus),
        calibration=(calibrate(validation[0]), calibrate(validation[1])),
        curves=(read_curve(first.group), read_curve(second.group)),
    )


def _names(first: Group, second: Group) -> tuple[str, str]:
    if first.variant == second.variant:
        return first.name, second.name
    return first.variant.capitalize(), second.variant.capitalize()


def _difference(first: Predictions, second: Predictions) -> Difference:
    a, b = first.correct, second.correct
    difference = paired(a, b, first.label, first.fold)
    return Difference(
        first.accuracy(), second.accuracy(), difference, int((a & b).sum()), int((~a & ~b).sum())
    )


def _by_speaker(
    first: Predictions, second: Predictions, corpus: Corpus
) -> tuple[SpeakerDifference, ...]:
    counts = np.bincount(first.label, minlength=len(corpus.speakers))
    right = [np.bincount(p.label, p.correct, len(corpus.speakers)) for p in (first, second)]
    differences = [
        SpeakerDifference(
            corpus.speakers[k], right[0][k] / counts[k], right[1][k] / counts[k], int(counts[k])
        )
        for k in np.flatnonzero(counts)
    ]
    return tuple(sorted(differences, key=lambda d: (d.second - d.first, d.speaker)))


def _by_length(
    first: Predictions, second: Predictions, corpus: Corpus
) -> tuple[LengthDifference, ...]:
    """By quarters of the utterances, short ones first."""
    lengths = corpus.lengths[first.rows]
    parts = np.array_split(np.argsort(lengths, kind="stable"), 4)
    return tuple(
        LengthDifference(
            int(lengths[part].min()),
            int(lengths[part].max()),
            float(first.correct[part].mean()),
            float(second.correct[part].mean()),
            len(part),
        )
        for part in parts
        if len(part)
    )


def calibrate(predictions: Predictions) -> Calibration:
    """Confidence against accuracy in bins of equal width (Guo et al. 2017)."""
    confidence, correct = predictions.confidence, predictions.correct
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    n = np.bincount(place, minlength=BINS)
    kept = n > 0
    means = np.bincount(place, confidence, BINS)[kept] / n[kept]
    right = np.bincount(place, correct, BINS)[kept] / n[kept]
    return Calibration(
        confidence=tuple(means.tolist()),
        accuracy=tuple(right.tolist()),
        n=tuple(n[kept].tolist()),
        error=float(np.average(abs(means - right), weights=n[kept])),
        overconfidence=float(confidence.mean() - correct.mean()),
    )


def read_curve(group: Group) -> Curve:
    """The learning curve of a group, the mean over its runs."""
    training: dict[int, list[float]] = {}
    validation: dict[int, list[float]] = {}
    for each in group.runs:
        for line in logged(each.run):
            step = int(line["step"])
            training.setdefault(step, []).append(line["accuracy"])
            if "validation_accuracy" in line:
                validation.setdefault(step, []).append(line["validation_accuracy"])
    return Curve(*_means(training, len(group.runs)), *_means(validation, len(group.runs)))


def _means(values: dict[int, list[float]], count: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    complete = {step: each for step, each in sorted(values.items()) if len(each) == count}
    return tuple(complete), tuple(sum(each) / count for each in complete.values())
