"""The corpus: lengths, levels, sessions, and how far the test set is from the training set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_hw4.competition import Edition
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.density import density
from kaggle_hw4.data.folds import Folds, read_folds
from kaggle_hw4.data.inspection import Inspection, inspect_corpus
from kaggle_hw4.data.shift import Nearness, UnseenShare, measure_unseen
from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.report.groups import Group

BINS = 30
Floats = tuple[float, ...]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Distributions:
    """Shares of the training and of the test utterances between `edges`."""

    edges: Floats
    training: Floats
    test: Floats


@dataclass(frozen=True)
class Spectra:
    """The mean over utterances of each band's 5th percentile less the utterance's level (nat): the
    noise floor and the room.
    """

    training: Floats
    deviation: Floats  # over training utterances
    test: Floats


@dataclass(frozen=True)
class FoldReport:
    """A fold table; the last fields are None where it is by utterance."""

    name: str
    by: str
    sizes: tuple[int, ...]
    purged: float  # mean share of the utterances that a fold may not train on
    reason: str | None
    share: float
    session_sizes: tuple[int, ...] | None
    per_speaker: float | None  # sessions
    density: float | None  # utterances in the session of an utterance


@dataclass(frozen=True)
class DataReport:
    edition: Edition | None
    inspection: Inspection
    lengths: Distributions  # seconds
    levels: Distributions  # mean of an utterance, nat
    floor: Spectra
    unseen: UnseenShare
    nearness: Nearness
    folds: tuple[FoldReport, ...]
    problems: tuple[str, ...]  # of fold tables


def describe_data(corpus: Corpus, tables: Sequence[Folds], problems: Sequence[str]) -> DataReport:
    """The corpus and its fold tables in numbers."""
    train, test = corpus.train, corpus.test
    seconds, levels = corpus.lengths / 100, corpus.channels.mean.mean(1)
    quiet = corpus.channels.descriptor[:, : corpus.n_mels]
    unseen, nearness = measure_unseen(corpus)
    return DataReport(
        edition=corpus.edition,
        inspection=inspect_corpus(corpus),
        lengths=_distributions(seconds[train], seconds[test]),
        levels=_distributions(levels[train], levels[test]),
        floor=Spectra(
            _floats(quiet[train].mean(0)),
            _floats(quiet[train].std(0)),
            _floats(quiet[test].mean(0)),
        ),
        unseen=unseen,
        nearness=nearness,
        folds=tuple(_describe_folds(folds, corpus) for folds in tables),
        problems=tuple(problems),
    )


def read_tables(
    folder: Path, corpus: Corpus, groups: Sequence[Group]
) -> tuple[list[Folds], list[str]]:
    """The fold tables of this corpus, those that `groups` use most first, and what is wrong with
    the others.
    """
    used = [group.runs[0].manifest.folds.name for group in groups]
    paths = sorted(folder.glob("*.csv"), key=lambda path: (-used.count(path.stem), path.stem))
    tables, problems = [], []
    for path in paths:
        try:
            tables.append(read_folds(path, corpus))
        except Hw4Error as error:
            problems.append(str(error))
    return tables, problems


def _floats(values: Array) -> Floats:
    return tuple(float(value) for value in values)


def _distributions(training: Array, test: Array) -> Distributions:
    """Both in the same bins; the last ones hold what is beyond the 99.5th percentile."""
    both = np.concatenate([training, test])
    low, high = np.percentile(both, (0.5, 99.5))
    edges = np.linspace(low, max(high, low + 1e-6), BINS + 1)
    shares = [
        np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0] / max(len(v), 1)
        for v in (training, test)
    ]
    return Distributions(_floats(edges), _floats(shares[0]), _floats(shares[1]))


def _describe_folds(folds: Folds, corpus: Corpus) -> FoldReport:
    by_session = folds.by == "session"
    sessions = np.unique(folds.session, return_inverse=True)[1]
    labels = corpus.labels[corpus.train]
    owners = len({(int(a), int(b)) for a, b in zip(labels, sessions, strict=True)})
    return FoldReport(
        name=folds.name,
        by=folds.by,
        sizes=tuple(np.bincount(folds.fold, minlength=folds.count).tolist()),
        purged=float(folds.purged.mean()),
        reason=folds.reason,
        share=folds.share,
        session_sizes=tuple(np.bincount(sessions).tolist()) if by_session else None,
        per_speaker=owners / len(np.unique(labels)) if by_session else None,
        density=density(sessions) if by_session else None,
    )
