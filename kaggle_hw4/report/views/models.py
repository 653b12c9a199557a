"""The models, what the best of them gets wrong, and a look inside it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_hw4.report.canvas import Labels, make_figure
from kaggle_hw4.report.collect import ModelsReport
from kaggle_hw4.report.document import Block, Figure, Missing, Table, Text, fixed, make_table
from kaggle_hw4.report.models import Mistakes, ModelRow
from kaggle_hw4.report.plots import (
    Series,
    bars,
    heatmap,
    histogram,
    plane,
    spectrogram,
)
from kaggle_hw4.report.probe import Attention, Plane

Array = npt.NDArray[Any]


def show_models(report: ModelsReport) -> Iterator[Block]:
    yield make_table(
        "models-recipes",
        "Models, by recipe; accuracies are balanced over speakers",
        (
            "recipe", "variant", "folds", "seeds", "accuracy", "s.e.", "seen-session", "s.e.",
            "log-loss, nat", "parameters",
        ),
        [_row(model) for model in report.models],
    )  # fmt: skip
    yield from (Text(reason) for reason in report.left_out)
    yield from _mistakes(report)
    yield from _inside(report)


def _row(model: ModelRow) -> tuple[str | int, ...]:
    seen = model.seen_session
    return (
        model.group,
        model.variant,
        model.folds,
        model.seeds,
        fixed(model.validation.accuracy),
        fixed(model.validation.standard_error),
        fixed(seen.accuracy if seen else None),
        fixed(seen.standard_error if seen else None),
        fixed(model.loss, 3),
        f"{model.parameters:,}",
    )


def _mistakes(report: ModelsReport) -> Iterator[Block]:
    """Confusions, speakers, the spread over speakers, and where the embeddings are."""
    mistakes = report.mistakes
    yield Text(
        f"{mistakes.group} gets {mistakes.wrong:,} of {mistakes.n:,} validation utterances wrong. "
        "What follows is about these."
    )
    if report.plane:
        yield Text(plane_words(report.plane))
    if mistakes.confusions:
        yield _matrix(mistakes)
    yield _hard_speakers(mistakes)
    yield _spread(mistakes)
    if report.plane:
        yield _plane(report.plane)


def _matrix(mistakes: Mistakes) -> Figure:
    labels = Labels(
        "models-confusions",
        "Who is taken for whom",
        "Utterances of the speakers in the most frequent confusions: the true speaker by row, the "
        "predicted one by column. The table has the most frequent pairs of all speakers.",
        "predicted speaker",
        "true speaker",
    )
    rows = [
        (c.speaker, c.taken_for, c.count, c.n, f"{c.count / c.n:.0%}", c.back)
        for c in mistakes.confusions
    ]
    columns = ("speaker", "taken for", "utterances", "of", "share", "and the other way")
    names = mistakes.matrix_speakers
    return make_figure(labels, heatmap(labels, mistakes.matrix, names, names), columns, rows)


def _hard_speakers(mistakes: Mistakes) -> Figure:
    labels = Labels(
        "models-speakers",
        "The hardest speakers",
        "The speakers with the lowest accuracy out of fold.",
        "accuracy",
    )
    rows = [(s.speaker, fixed(s.accuracy), s.n, s.taken_for) for s in mistakes.speakers]
    columns = ("speaker", "accuracy", "utterances", "mostly taken for")
    drawn = bars(
        labels, [s.speaker for s in mistakes.speakers], [s.accuracy for s in mistakes.speakers]
    )
    return make_figure(labels, drawn, columns, rows)


def _spread(mistakes: Mistakes) -> Figure:
    edges = np.linspace(0, 1, 21)
    counts = np.histogram(mistakes.accuracies, edges)[0]
    labels = Labels(
        "models-spread",
        "Accuracy over the speakers",
        "How many speakers have which accuracy out of fold.",
        "accuracy",
        "speakers",
    )
    rows = [
        (f"{low:.2f} to {high:.2f}", int(n))
        for low, high, n in zip(edges, edges[1:], counts, strict=False)
    ]
    drawn = histogram(labels, {"speakers": counts}, edges)
    return make_figure(labels, drawn, ("accuracy", "speakers"), rows)


def _inside(report: ModelsReport) -> Iterator[Block]:
    """Utterances with what the pooling attends to."""
    if report.attention:
        weighted = any(each.weights is not None for each in report.attention)
        yield Text(
            f"The most confident mistakes of {report.attentive}, one a speaker. "
            + (
                "The white line is the weight that the attention pooling gives to each frame."
                if weighted
                else "This model pools every frame alike: there are no weights to show."
            )
        )
        yield from (_attention(each, k) for k, each in enumerate(report.attention, 1))
    elif report.mistakes.wrong == 0:
        yield Missing("No validation utterance is predicted wrongly.")


def plane_words(plane: Plane) -> str:
    """How much of the embeddings' variance is speakers, and how much sessions."""
    sessions = ""
    if plane.sessions is not None:
        rest = 1 - plane.speakers - plane.sessions
        sessions = (
            f", {plane.sessions:.0%} between the guessed sessions of a speaker and {rest:.0%} "
            "within sessions"
        )
    return (
        f"Embeddings of {plane.run}: {plane.speakers:.0%} of their variance is between these "
        f"speakers{sessions}. The plane shows {plane.shown:.0%} of it."
    )


def _plane(each: Plane) -> Figure:
    labels = Labels(
        "models-plane",
        "Embeddings on a plane",
        "Utterances of the most confused speakers on the first two principal components; a colour "
        "and a marker for each speaker, lines to the centre of each guessed session.",
        "first component",
        "second component",
    )
    speakers = list(dict.fromkeys(point.speaker for point in each.points))
    groups, links = [], []
    for speaker in speakers:
        own = [point for point in each.points if point.speaker == speaker]
        groups.append(Series(speaker, [p.x for p in own], [p.y for p in own]))
        links.append(_links(np.array([(p.x, p.y) for p in own]), [p.session for p in own]))
    rows = [(p.id, p.speaker, p.session, fixed(p.x, 3), fixed(p.y, 3)) for p in each.points]
    columns = ("utterance", "speaker", "guessed session", "x", "y")
    return make_figure(labels, plane(labels, groups, links), columns, rows)


def _links(place: Array, sessions: list[int | None]) -> Array:
    """Lines (n, 2, 2) from each point (n, 2) to the centre of its session."""
    if None in sessions:
        return np.empty((0, 2, 2))
    numbers = np.array(sessions)
    centres = np.stack([place[numbers == number].mean(0) for number in numbers])
    return np.stack([place, centres], axis=1)


def _attention(each: Attention, number: int) -> Figure:
    utterance = each.utterance
    labels = Labels(
        f"models-utterance-{number}",
        f"{utterance.speaker}, taken for {utterance.predicted}",
        f"Log-mel spectrogram of {utterance.id}; probability of the predicted speaker "
        f"{utterance.confidence:.2f}, of the true one {utterance.truth:.2g}.",
        "seconds",
        "mel band",
    )
    drawn = spectrogram(labels, each.frames, each.weights)
    return Figure(labels.title, labels.description, drawn, _tenths(each, number))


def _tenths(each: Attention, number: int) -> Table:
    """Level and weight of every tenth of a second."""
    starts = range(0, len(each.frames), 10)
    rows = [
        (
            f"{start / 100:.1f}",
            fixed(float(each.frames[start : start + 10].mean()), 2),
            "" if each.weights is None else fixed(float(each.weights[start : start + 10].sum())),
        )
        for start in starts
    ]
    return make_table(
        f"models-utterance-{number}",
        f"Every tenth of a second of {each.utterance.id}",
        ("second", "level, nat", "share of the weight"),
        rows,
    )
