"""Two models compared, answered in words from the numbers."""

from collections.abc import Iterator

from kaggle_hw4.metrics import PairedDifference
from kaggle_hw4.report.canvas import Labels, make_figure
from kaggle_hw4.report.collect import ComparisonReport
from kaggle_hw4.report.comparison import Difference, ModelComparison
from kaggle_hw4.report.document import Block, Figure, Finding, Text, fixed, make_table, points
from kaggle_hw4.report.plots import Series, histogram, lines, scatter

Z = 1.96
EXTREMES = 10  # speakers at either end that are listed


def show_comparisons(report: ComparisonReport) -> Iterator[Block]:
    for number, comparison in enumerate(report.comparisons, 1):
        yield from _show(comparison, f"comparison-{number}")


def question(report: ComparisonReport) -> str:
    """What the first comparison answers, as the title of the section."""
    first = report.comparisons[0]
    difference = first.new or first.known
    if difference and is_clear(difference.paired) and difference.paired.difference < 0:
        return f"Why did {first.first} fall below {first.second}?"
    return f"Is {first.first} better than {first.second}?"


def _show(c: ModelComparison, name: str) -> Iterator[Block]:
    yield Finding(answer(c))
    yield _counts(c, name)
    yield from (Text(text) for text in (calibration_words(c), speaker_words(c)))
    yield _accuracy_curve(c, name)
    yield _speakers(c, name)
    yield _reliability(c, name)
    yield _lengths(c, name)


def answer(c: ModelComparison) -> str:
    """Who leads where, with standard errors, and what that says of what was learnt."""
    both = [(d.paired, kind) for d, kind in ((c.known, "known"), (c.new, "new")) if d]
    if len(both) < 2:
        listed = " and ".join(f"{_standing(paired)} in {kind} sessions" for paired, kind in both)
        return f"Against {c.second}, {c.first} {listed}."
    (known, _), (new, _) = both
    return (
        f"Against {c.second}, {c.first} {_standing(known)} in known sessions and "
        f"{_standing(new)} in new ones: {_conclusion(c, known, new)}."
    )


def _standing(difference: PairedDifference) -> str:
    error = points(difference.standard_error)
    if not is_clear(difference):
        return f"is level within noise ({100 * difference.difference:+.1f} ± {error} points)"
    verb = "leads" if difference.difference > 0 else "trails"
    return f"{verb} by {points(difference.difference)} ± {error} points"


def is_clear(difference: PairedDifference) -> bool:
    """Whether a difference is more than noise."""
    return difference.low > 0 or difference.high < 0


def _conclusion(c: ModelComparison, known: PairedDifference, new: PairedDifference) -> str:
    """From the difference of the two differences, whose errors are taken as independent."""
    change = known.difference - new.difference
    error = (known.standard_error**2 + new.standard_error**2) ** 0.5
    if change > Z * error:
        if is_clear(new) and new.difference < 0:
            return "it has learnt sessions"
        return "part of what it gains is knowledge of sessions, which new ones do not repay"
    if change < -Z * error:
        return "what it has learnt carries over to new sessions better"
    clear = [each for each in (new, known) if is_clear(each)]
    if clear:
        better = c.first if clear[0].difference > 0 else c.second
        where = "in both kinds alike" if len(clear) == 2 else _only(clear[0] is new)
        return f"{better} is the better model, {where}"
    return "no difference that could be told from noise"


def _only(in_new: bool) -> str:
    clear, other = ("new", "known") if in_new else ("known", "new")
    return f"clearly so in {clear} sessions; in {other} ones the difference may be noise"


def calibration_words(c: ModelComparison) -> str:
    """Whether confidence can be trusted: what temperatures in a blend correct."""
    parts = [
        f"{name} is {'over' if each.overconfidence > 0 else 'under'}confident by "
        f"{points(each.overconfidence)} points (expected calibration error {points(each.error)})"
        for name, each in zip((c.first, c.second), c.calibration, strict=True)
    ]
    return f"Calibration: {'; '.join(parts)}. A blend corrects both by a temperature."


def speaker_words(c: ModelComparison) -> str:
    """For how many speakers either model is better."""
    better, worse = (sum(sign * (s.first - s.second) > 0 for s in c.speakers) for sign in (1, -1))
    return (
        f"{c.first} is better for {better} speakers, {c.second} for {worse}, and they are level "
        f"for {len(c.speakers) - better - worse}."
    )


def _counts(c: ModelComparison, name: str) -> Block:
    kinds: list[tuple[str, Difference | None]] = [("new", c.new), ("known", c.known)]
    rows = [
        (
            kind,
            d.paired.n,
            fixed(d.first.accuracy),
            fixed(d.first.standard_error),
            fixed(d.second.accuracy),
            fixed(d.second.standard_error),
            f"{100 * d.paired.difference:+.2f}",
            f"{100 * d.paired.standard_error:.2f}",
            d.both,
            d.paired.won,
            d.paired.lost,
            d.neither,
        )
        for kind, d in kinds
        if d
    ]
    columns = (
        "sessions", "utterances", c.first, "s.e.", c.second, "s.e.", "difference, points", "s.e.",
        "both right", f"only {c.first}", f"only {c.second}", "neither",
    )  # fmt: skip
    return make_table(
        f"{name}-counts", f"{c.first} and {c.second} on the same utterances", columns, rows
    )


def _accuracy_curve(c: ModelComparison, name: str) -> Figure:
    series, rows = [], []
    for model, curve in zip((c.first, c.second), c.curves, strict=True):
        series.append(Series(f"{model}, training", curve.steps, curve.training))
        series.append(Series(f"{model}, validation", curve.validated, curve.validation))
        validation = dict(zip(curve.validated, curve.validation, strict=True))
        rows += [
            (model, step, fixed(value), fixed(validation.get(step)))
            for step, value in zip(curve.steps, curve.training, strict=True)
        ]
    labels = Labels(
        f"{name}-curves",
        f"Learning curves of {c.first} and {c.second}",
        "Accuracy on the training segments, augmented as they are, and on whole validation "
        "utterances; the mean over folds and seeds.",
        "step",
        "accuracy",
    )
    columns = ("model", "step", "training", "validation")
    shown = [each for each in series if len(each.x)]
    return make_figure(labels, lines(labels, shown), columns, rows)


def _speakers(c: ModelComparison, name: str) -> Figure:
    import numpy as np

    differences = np.array([100 * (s.first - s.second) for s in c.speakers])
    edge = max(5.0, float(abs(differences).max()))
    edges = np.linspace(-edge, edge, 22)
    counts = np.histogram(differences, edges)[0]
    labels = Labels(
        f"{name}-speakers",
        f"{c.first} minus {c.second}, by speaker",
        f"How many speakers gain or lose how much; right of 0, {c.first} is better. The table has "
        "those at either end.",
        "difference in accuracy, points",
        "speakers",
    )
    listed = c.speakers
    if len(listed) > 2 * EXTREMES:
        listed = (*c.speakers[:EXTREMES], *c.speakers[-EXTREMES:])
    rows = [
        (s.speaker, fixed(s.first), fixed(s.second), f"{100 * (s.first - s.second):+.1f}", s.n)
        for s in listed
    ]
    columns = ("speaker", c.first, c.second, "difference, points", "utterances")
    return make_figure(labels, histogram(labels, {"speakers": counts}, edges), columns, rows)


def _reliability(c: ModelComparison, name: str) -> Figure:
    models = list(zip((c.first, c.second), c.calibration, strict=True))
    labels = Labels(
        f"{name}-calibration",
        f"Calibration of {c.first} and {c.second}",
        "Below the dotted line, a model is overconfident: it is right less often than it says.",
        "confidence",
        "accuracy",
    )
    rows = [
        (model, fixed(confidence), fixed(accuracy), n)
        for model, each in models
        for confidence, accuracy, n in zip(each.confidence, each.accuracy, each.n, strict=True)
    ]
    columns = ("model", "confidence", "accuracy", "utterances")
    series = [Series(model, each.confidence, each.accuracy) for model, each in models]
    return make_figure(labels, scatter(labels, series, True), columns, rows)


def _lengths(c: ModelComparison, name: str) -> Figure:
    labels = Labels(
        f"{name}-lengths",
        f"{c.first} and {c.second}, by length",
        "Accuracy on four quarters of the validation utterances, short ones first.",
        "length, s",
        "accuracy",
    )
    x = [(part.low + part.high) / 200 for part in c.lengths]
    series = [
        Series(c.first, x, [part.first for part in c.lengths]),
        Series(c.second, x, [part.second for part in c.lengths]),
    ]
    rows = [
        (f"{p.low / 100:.2f} to {p.high / 100:.2f}", fixed(p.first), fixed(p.second), p.n)
        for p in c.lengths
    ]
    columns = ("length, s", c.first, c.second, "utterances")
    return make_figure(labels, lines(labels, series), columns, rows)
