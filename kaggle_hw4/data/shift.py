"""Does the test set come from other sessions than the training set? Measured, not assumed.

An utterance of a session that is in the training set has training utterances much nearer to it, by
their channel descriptors (`data.channel`), than all the rest; one of an unseen session has none.
The training set itself shows how far either goes, without knowing its sessions. Seen: an utterance
among all others. Unseen: the same utterance without those of its own speaker, since different
speakers are never in one session. A logistic regression tells the two apart; where the test set's
mean probability lies between theirs is the share of its utterances in unseen sessions.

By how much a random split overestimates is measured by a linear discriminant on each band's mean
and deviation, validated by utterance and by session.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kaggle_hw4.competition import Edition
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.distances import nearest_distances, rises
from kaggle_hw4.data.folds import assign_folds
from kaggle_hw4.data.sessions import MIN_SESSIONS, cluster_sessions
from kaggle_hw4.progress import Bar, Progress, no_bar

Array = npt.NDArray[Any]

RANKS = (1, 2, 3, 5, 10)  # the nearest training utterances that are looked at
LAST = 20  # the one that their distances are compared with
SAMPLE = 4000  # training utterances, at most, that give the scale
TESTS = 20_000  # test utterances, at most, that are measured
SYSTEMATIC = 0.02  # standard error that more utterances do not reduce: docs/LOG.md, nine corpora
MIN_UNSEEN = 0.2  # share from which on folds are by session
LEAST = 1e-3  # difference of the mean probabilities: with less, sessions do not show
FOLDS = 5
SPEAKERS = 100  # at most, for the linear probe: enough for an illustration


@dataclass(frozen=True)
class Nearness:
    """Distance to the nearest training utterance over that to the twentieth nearest: medians of
    utterances of seen sessions, of unseen ones, and of the test set.
    """

    seen: float
    unseen: float
    test_set: float


@dataclass(frozen=True)
class UnseenShare:
    """The share of the test set in unseen sessions, with its 95 % interval."""

    share: float
    low: float
    high: float

    @property
    def measurable(self) -> bool:
        """Whether the interval says anything."""
        return self.high - self.low < 0.8


@dataclass(frozen=True)
class ProbeAccuracy:
    """Accuracies of a linear probe, validated by utterance and by session, over `n` utterances."""

    utterance: float
    session: float
    bias: float  # utterance - session: by how much a random split overestimates
    n: int


@dataclass(frozen=True)
class Shift:
    """How much of the test set is in unseen sessions, and what a random split overestimates."""

    hash: str  # of the corpus
    nearness: Nearness
    unseen_sessions: UnseenShare
    linear_probe: ProbeAccuracy


@dataclass(frozen=True)
class FoldChoice:
    """How to split a corpus so that validation resembles its test set, and why so."""

    by: str  # one of data.folds.KINDS
    reason: str


def measure_shift(corpus: Corpus, bar: Bar) -> Shift:
    """Measure how much of the test set of `corpus` is in unseen sessions; `bar(name)` makes the
    progress of a stage.
    """
    unseen, nearness = measure_unseen(corpus, bar)
    return Shift(corpus.hash, nearness, unseen, probe(corpus, bar("sessions")))


def measure_unseen(corpus: Corpus, bar: Bar = no_bar) -> tuple[UnseenShare, Nearness]:
    """The share of the test set of `corpus` in unseen sessions, and what shows it."""
    descriptors = corpus.channels.descriptor
    train, labels = descriptors[corpus.train], corpus.labels[corpus.train]
    sample, tests = (
        np.sort(np.random.default_rng(0).permutation(n)[:most])
        for n, most in ((len(train), SAMPLE), (len(corpus.test), TESTS))
    )
    test = descriptors[corpus.test[tests]]
    count = min(LAST, len(train) - int(np.bincount(labels).max()))
    if count < 2:
        return UnseenShare(0.5, 0.0, 1.0), Nearness(1.0, 1.0, 1.0)

    # The nearest training utterances: of training utterances as if seen and unseen, of the test.
    rows = np.arange(len(train))
    groups = {"seen sessions": (sample, rows), "unseen sessions": (labels[sample], labels)}
    seen, unseen = (
        nearest_distances(train[sample], train, count, each, bar(name))
        for name, each in groups.items()
    )
    tested = nearest_distances(test, train, count, progress=bar("test set"))
    nearness = Nearness(*(_nearness(distances) for distances in (seen, unseen, tested)))

    # The probability of an unseen session, by the rise of the distances.
    features = [rises(distances, RANKS) for distances in (seen, unseen, tested)]
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    classifier.fit(np.concatenate(features[:2]), np.repeat([0, 1], len(sample)))
    seen, unseen, tested = (classifier.predict_proba(feature)[:, 1] for feature in features)
    return unseen_share(seen, unseen, tested, labels[sample], linked(test)), nearness


def _nearness(distances: Array) -> float:
    return float(np.median(distances[:, 0] / np.maximum(distances[:, -1], 1e-9)))


def unseen_share(
    seen: Array, unseen: Array, test: Array, speakers: Array, links: Array
) -> UnseenShare:
    """Where the mean of the scores `test` (m,) lies between those of `seen` and `unseen` (n,).

    The interval's standard error takes the test utterances with the same of `links` (m,) together,
    and the training utterances of one of the `speakers` (n,): they are not independent.
    """
    scale = float(unseen.mean() - seen.mean())
    if scale < LEAST:
        return UnseenShare(0.5, 0.0, 1.0)
    share = float(test.mean() - seen.mean()) / scale
    position = min(max(share, 0.0), 1.0)
    ends = (seen - seen.mean()) * (1 - position) + (unseen - unseen.mean()) * position
    # A few utterances can look more alike than the training set's are.
    least = float(np.sqrt(ends.var() / len(np.unique(links))))
    sampling = max(_error_of_mean(test - test.mean(), links), least)
    errors = np.array([sampling, _error_of_mean(ends, speakers)]) / scale
    margin = 1.96 * float(np.sqrt(np.square([*errors, SYSTEMATIC]).sum()))
    low, middle, high = np.clip([share - margin, share, share + margin], 0, 1)
    return UnseenShare(float(middle), float(low), float(high))


def _error_of_mean(residuals: Array, groups: Array) -> float:
    """The standard error of a mean over groups of dependent `residuals` (n,)."""
    sums = np.bincount(groups, residuals)
    return float(np.sqrt(np.square(sums).sum()) / len(residuals))


def linked(points: Array) -> Array:
    """Groups (n,) of `points` (n, d) in which each one is with its nearest."""
    n = len(points)
    links = coo_array((np.ones(n), (np.arange(n), nearest(points))), shape=(n, n))
    groups: Array = connected_components(links, directed=False)[1]
    return groups


def nearest(points: Array) -> Array:
    """The index (n,) of each point's nearest other point, of `points` (n, d)."""
    count = min(2, len(points))
    finder = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points)
    neighbours: Array = finder.kneighbors(points)[1]
    # Of two identical points either may come first.
    itself = neighbours[:, 0] == np.arange(len(points))
    return np.where(itself, neighbours[:, -1], neighbours[:, 0])


def choose_folds(edition: Edition | None, unseen: UnseenShare) -> FoldChoice:
    """Folds by session where the test set has unseen sessions, else by utterance.

    How an edition of the competition was made is known, and counts more than the measurement.
    """
    interval = f"95 % interval {unseen.low:.0%} to {unseen.high:.0%}"
    measured = f"{unseen.share:.0%} of the test set is in unseen sessions ({interval})"
    by = "session" if unseen.share >= MIN_UNSEEN else "utterance"
    if not unseen.measurable:
        by, measured = "session", "whether the test set is in unseen sessions cannot be measured"
    if edition is None:
        return FoldChoice(by, measured)
    manner = "by session" if edition.folds_by == "session" else "at random"
    link = "although" if unseen.measurable and by != edition.folds_by else "and"
    reason = f"the test set of {edition.year} was split off {manner}, {link} {measured}"
    return FoldChoice(edition.folds_by, reason)


def probe(corpus: Corpus, progress: Progress) -> ProbeAccuracy:
    """Accuracy of a linear discriminant, validated by utterance and by session cluster, over the
    first speakers of `corpus`; `progress(done, total)` counts them.
    """
    rows = corpus.train[corpus.labels[corpus.train] < SPEAKERS]
    channels, labels = corpus.channels[rows], corpus.labels[rows]
    sessions = cluster_sessions(channels.descriptor, labels, MIN_SESSIONS, progress)
    statistics = np.concatenate([channels.mean, channels.deviation], axis=1)
    utterance, session = (
        cross_validate(statistics, labels, groups) for groups in (np.arange(len(rows)), sessions)
    )
    return ProbeAccuracy(utterance, session, utterance - session, len(rows))


def cross_validate(statistics: Array, labels: Array, groups: Array) -> float:
    """The accuracy of a linear discriminant over folds that keep `groups` (n,) together."""
    fold, correct = assign_folds(labels, groups, FOLDS, seed=0), np.zeros(len(labels), bool)
    for k in range(FOLDS):
        fitted = LinearDiscriminantAnalysis().fit(statistics[fold != k], labels[fold != k])
        correct[fold == k] = fitted.predict(statistics[fold == k]) == labels[fold == k]
    return float(correct.mean())
