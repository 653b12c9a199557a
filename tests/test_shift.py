"""How much of the test set is in unseen sessions is measured right, and decides how to split."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from kaggle_hw4.competition import edition_named
from kaggle_hw4.data import shift
from kaggle_hw4.data.corpus import Corpus, pack
from kaggle_hw4.data.distances import nearest_distances, rises
from kaggle_hw4.data.shift import (
    UnseenShare,
    choose_folds,
    linked,
    measure_shift,
    measure_unseen,
    nearest,
    unseen_share,
)
from kaggle_hw4.progress import no_bar
from kaggle_hw4.synth.corpus import write_corpus
from tests.conftest import chosen


@pytest.fixture(scope="module", params=[(6, 5, 2, 2), (4, 8, 2, 4)], ids=str)
def speakers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """24 speakers with so many sessions of so many utterances, and others in the test set."""
    folder = tmp_path_factory.mktemp("shift")
    names = ("sessions", "utterances", "test_sessions", "test_utterances")
    sizes = dict(zip(names, request.param, strict=True))
    write_corpus(folder / "corpus", speakers=24, frames=150, **sizes)
    return pack(folder / "corpus", folder / "packed")


def with_test_set(corpus: Corpus, share: float) -> Corpus:
    """A corpus whose test set is that `share` of its own, and as many training utterances as make
    the rest; drawn at random.
    """
    random = np.random.default_rng(1)
    n = len(corpus.test) if share else len(corpus.train) // 6
    unseen = random.permutation(corpus.test)[: round(share * n)]
    seen = random.permutation(corpus.train)[: n - len(unseen)]
    train = np.setdiff1d(corpus.train, seen)
    return chosen(corpus, train, np.concatenate([unseen, seen]))


@pytest.mark.parametrize(("share", "by"), [(0, "utterance"), (0.5, "session"), (1, "session")])
def test_the_share_of_unseen_sessions_is_measured_and_decides(
    speakers: Corpus, share: float, by: str
) -> None:
    unseen, nearness = measure_unseen(with_test_set(speakers, share))
    assert abs(unseen.share - share) < 0.1
    assert unseen.low <= share <= unseen.high
    assert unseen.high - unseen.low < 0.6
    assert nearness.seen < nearness.unseen
    assert choose_folds(None, unseen).by == by


def test_of_a_large_test_set_a_sample_is_measured(
    speakers: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, stages = with_test_set(speakers, 1), list[tuple[int, int]]()
    whole = measure_unseen(corpus)[0]
    monkeypatch.setattr(shift, "TESTS", len(corpus.test) // 2)
    sampled = measure_unseen(corpus, lambda name: lambda *count: stages.append(count))[0]
    assert stages[-1] == (len(corpus.test) // 2,) * 2
    assert sampled.low <= whole.share <= sampled.high


def test_the_shift_says_by_how_much_a_random_split_overestimates(speakers: Corpus) -> None:
    shift = measure_shift(speakers, no_bar)
    assert shift.linear_probe.n == len(speakers.train)
    utterance, session = shift.linear_probe.utterance, shift.linear_probe.session
    assert shift.linear_probe.bias == utterance - session > 0


def test_an_edition_is_split_as_it_was_made_whatever_seems() -> None:
    clear, wide = UnseenShare(0.97, 0.92, 1.0), UnseenShare(0.5, 0.0, 1.0)
    reasons = {
        (year, unseen.share): choose_folds(edition_named(year), unseen)
        for year in (2022, 2023)
        for unseen in (clear, wide)
    }
    assert {key: choice.by for key, choice in reasons.items()} == {
        (2022, 0.97): "session", (2022, 0.5): "session",
        (2023, 0.97): "utterance", (2023, 0.5): "utterance",
    }  # fmt: skip
    assert "by session, and 97% of the test set is in unseen" in reasons[2022, 0.97].reason
    assert "at random, although 97% of the test set is in unseen" in reasons[2023, 0.97].reason
    assert "although" not in reasons[2023, 0.5].reason


def test_where_nothing_shows_folds_are_by_session() -> None:
    choice = choose_folds(None, UnseenShare(0.05, 0.0, 0.9))
    assert choice.by == "session"
    assert "cannot be measured" in choice.reason


TINY = [(1, 6, 3), (2, 3, 2), (3, 1, 2), (5, 2, 1)]


@pytest.mark.parametrize(("speakers", "utterances", "n"), TINY)
def test_too_little_is_no_measurement(speakers: int, utterances: int, n: int) -> None:
    train = speakers * utterances
    descriptors = np.random.default_rng(0).normal(size=(train + n, 80)).astype(np.float32)
    labels = np.r_[np.repeat(np.arange(speakers), utterances), np.full(n, -1)]
    corpus = SimpleNamespace(
        channels=SimpleNamespace(descriptor=descriptors),
        train=np.arange(train),
        test=np.arange(train, train + n),
        labels=labels,
    )
    unseen, _ = measure_unseen(cast(Corpus, corpus))
    assert not unseen.measurable
    assert choose_folds(None, unseen).by == "session"


def test_the_nearest_is_another_point_even_in_the_same_place() -> None:
    points = np.array([[0.0], [0.0], [5.0], [5.1]])
    assert nearest(points).tolist() == [1, 0, 3, 2]
    assert linked(points).tolist() == [0, 0, 1, 1]


def test_points_of_the_own_group_are_no_neighbours() -> None:
    points = np.array([[0.0], [1.0], [3.0], [7.0]], np.float32)
    rows, pairs = np.arange(4), np.array([0, 0, 1, 1])
    assert nearest_distances(points, points, 2)[:, 0].tolist() == [0, 0, 0, 0]
    assert nearest_distances(points, points, 2, (rows, rows)).tolist() == [
        [1, 3], [1, 2], [2, 3], [4, 6],
    ]  # fmt: skip
    assert nearest_distances(points, points, 3, (pairs, pairs))[0].tolist() == [3, 7, np.inf]


def test_a_rise_is_relative_to_the_last_distance() -> None:
    distances = np.array([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]])
    assert np.allclose(rises(distances, (1, 2, 3)), np.log([[1 / 4, 1 / 2]] * 2))


def test_the_share_is_where_the_test_set_lies_and_its_interval_holds_it() -> None:
    def scores(mean: float) -> np.ndarray:
        return np.tile([mean - 0.1, mean + 0.1], 500)

    alone, pairs = np.arange(1000), np.arange(1000) // 2 * 2
    for mean, share in ((0.2, 0.0), (0.5, 0.5), (0.8, 1.0), (0.9, 1.0)):
        unseen = unseen_share(scores(0.2), scores(0.8), scores(mean), alone, alone)
        assert unseen.share == pytest.approx(share)
        assert unseen.low <= share <= unseen.high
    half = np.repeat([0.2, 0.8], 500)
    widths = [
        (unseen := unseen_share(scores(0.2), scores(0.8), half, alone, links)).high - unseen.low
        for links in (alone, pairs)
    ]
    assert widths[0] < widths[1]  # two utterances of a session tell less than two of two sessions
