"""The corpus and its fold tables."""

from collections.abc import Iterator

import numpy as np

from kaggle_hw4.report.canvas import Labels, make_figure
from kaggle_hw4.report.data import DataReport, Distributions, FoldReport
from kaggle_hw4.report.document import Block, Figure, Finding, Missing, Text, fixed, make_table
from kaggle_hw4.report.plots import Series, histogram, lines


def show_data(report: DataReport) -> Iterator[Block]:
    yield Text(corpus_words(report))
    yield Finding(shift_words(report))
    yield from (Text(problem) for problem in report.problems)
    if not report.folds:
        yield Missing("There is no fold table: sessions are not guessed yet.", "hw4 split")
    yield from (Text(fold_words(folds)) for folds in report.folds)
    yield _distribution(report.lengths, "lengths", "Length of the utterances", "seconds")
    yield _distribution(report.levels, "levels", "Level of the utterances", "mean log-mel, nat")
    yield _floor(report)
    sizes = [folds for folds in report.folds if folds.session_sizes]
    if sizes:
        yield _sessions(sizes[0])
    yield _quantiles(report)


def corpus_words(report: DataReport) -> str:
    counts, edition = report.inspection.counts, report.edition
    which = f"edition {edition.year} of the competition" if edition else "no edition of Kaggle's"
    balance = report.inspection.utterances_per_speaker
    return (
        f"{counts.speakers} speakers, {counts.training_utterances:,} training and "
        f"{counts.test_utterances:,} test utterances, {counts.hours:.1f} hours, {which}. "
        f"A speaker has {_range(balance.min, balance.max)} training utterances."
    )


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def shift_words(report: DataReport) -> str:
    """Whether the test set is in unseen sessions, and what that asks of validation."""
    unseen, near = report.unseen, report.nearness
    if not unseen.measurable:
        return "Whether the test set is in unseen sessions cannot be measured on so few utterances."
    return (
        f"{unseen.share:.0%} of the test set is in unseen sessions (95 %: {unseen.low:.0%} to "
        f"{unseen.high:.0%}). The nearest channel of the training set is at {near.test_set:.2f} of "
        f"the distance of the twentieth; expected in seen sessions: {near.seen:.2f}, in unseen "
        f"ones: {near.unseen:.2f}."
    )


def fold_words(folds: FoldReport) -> str:
    sizes = f"{len(folds.sizes)} folds of {_range(min(folds.sizes), max(folds.sizes))} utterances"
    if folds.session_sizes is None:
        return f"Fold table {folds.name}: {sizes}, by utterance."
    reason = f" Why by session: {folds.reason}." if folds.reason else ""
    return (
        f"Fold table {folds.name}: {sizes}, {len(folds.session_sizes):,} session clusters, "
        f"{folds.per_speaker:.1f} a speaker; an utterance shares its session with "
        f"{(folds.density or 1) - 1:.1f} others. A session of the test set has about "
        f"{folds.share:.0%} as many utterances; {folds.purged:.1%} of the utterances are purged "
        f"from a fold's training.{reason}"
    )


def _distribution(values: Distributions, name: str, title: str, unit: str) -> Figure:
    labels = Labels(
        f"data-{name}",
        title,
        "Shares of the training and of the test utterances; the outermost bins hold what is "
        "beyond them.",
        unit,
        "share",
    )
    rows = [
        (f"{low:.2f}", f"{high:.2f}", fixed(training), fixed(test))
        for low, high, training, test in zip(
            values.edges, values.edges[1:], values.training, values.test, strict=False
        )
    ]
    columns = ("from", "to", "training", "test")
    counts = {"training": values.training, "test": values.test}
    drawn = histogram(labels, counts, values.edges)
    return make_figure(labels, drawn, columns, rows, f"{title}, {unit}")


def _floor(report: DataReport) -> Figure:
    floor = report.floor
    bands = list(range(1, len(floor.training) + 1))
    training, deviation = np.array(floor.training), np.array(floor.deviation)
    labels = Labels(
        "data-floor",
        "Noise floor by band",
        "The 5th percentile of each mel band over time, less the utterance's level: the room and "
        "its noise. Means over utterances, with one standard deviation of the training set.",
        "mel band",
        "nat above the mean level",
    )
    series = [
        Series("training", bands, training, training - deviation, training + deviation),
        Series("test", bands, floor.test),
    ]
    rows = [
        (band, fixed(a, 3), fixed(d, 3), fixed(b, 3))
        for band, a, d, b in zip(bands, floor.training, floor.deviation, floor.test, strict=True)
    ]
    columns = ("mel band", "training", "deviation", "test")
    return make_figure(labels, lines(labels, series), columns, rows, "Noise floor by band, nat")


def _sessions(folds: FoldReport) -> Figure:
    sizes = np.array(folds.session_sizes)
    edges = np.unique(np.linspace(1, sizes.max() + 1, 25).round())
    counts = np.histogram(sizes, edges)[0]
    labels = Labels(
        "data-sessions",
        f"Session clusters of {folds.name}",
        "How many guessed sessions hold how many training utterances.",
        "utterances in a session",
        "sessions",
    )
    rows = [
        (int(low), int(high) - 1, int(n))
        for low, high, n in zip(edges, edges[1:], counts, strict=False)
    ]
    columns = ("from", "to", "sessions")
    return make_figure(labels, histogram(labels, {"sessions": counts}, edges), columns, rows)


def _quantiles(report: DataReport) -> Block:
    from dataclasses import asdict

    inspection = report.inspection
    training, test = asdict(inspection.training_lengths), asdict(inspection.test_lengths)
    rows = [(name.replace("_", " "), float(training[name]), float(test[name])) for name in training]
    columns = ("length", "training", "test")
    return make_table("data-quantiles", "Lengths in frames of 10 ms", columns, rows)
