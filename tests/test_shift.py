"""The session shift is measured where there is one, and is near zero where there is none."""

import dataclasses

import numpy as np
import pytest

from kaggle_hw4.data.corpus import Corpus, pack
from kaggle_hw4.data.shift import measure_shift, nearest, probe, unseen_share
from kaggle_hw4.synth.corpus import write_corpus


@pytest.fixture(scope="module")
def speakers(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """12 speakers, 5 sessions of 4 utterances; the test set has 2 others of 4."""
    folder = tmp_path_factory.mktemp("shift")
    sizes = {"sessions": 5, "utterances": 4, "test_sessions": 2, "test_utterances": 4}
    write_corpus(folder / "corpus", speakers=12, frames=150, **sizes)
    return pack(folder / "corpus", folder / "packed")


def test_unseen_sessions_are_found(speakers: Corpus) -> None:
    shift = measure_shift(speakers, lambda done, total: None)
    assert shift.unseen_sessions.share > 0.7
    assert shift.unseen_sessions.low > 0.4
    assert shift.linear_probe.bias > 0


def test_a_test_set_from_the_training_sessions_is_found(speakers: Corpus) -> None:
    """A quarter of the training utterances, drawn at random, stand in for the test set."""
    train = speakers.train
    drawn = np.random.default_rng(0).permutation(len(train)) < len(train) // 4
    rows = np.concatenate([train[~drawn], train[drawn]])
    labels = np.where(np.arange(len(rows)) < (~drawn).sum(), speakers.labels[rows], -1)
    control = dataclasses.replace(
        speakers,
        ids=tuple(speakers.ids[row] for row in rows),
        labels=labels,
        offsets=speakers.offsets[rows],
        lengths=speakers.lengths[rows],
        channels=speakers.channels[rows],
    )
    unseen = measure_shift(control, lambda done, total: None).unseen_sessions
    assert unseen.share < 0.3
    assert unseen.low < 0.1


def test_the_nearest_is_another_point_even_in_the_same_place() -> None:
    points = np.array([[0.0], [0.0], [5.0], [5.1]])
    assert nearest(points).tolist() == [1, 0, 3, 2]


def test_the_share_is_where_the_test_set_lies() -> None:
    half, most = np.arange(1000) % 2 == 0, np.arange(1000) % 10 < 9
    assert unseen_share(half, most, half).share == pytest.approx(0)
    assert unseen_share(half, most, most).share == pytest.approx(1)
    middle = unseen_share(half, most, np.arange(1000) % 10 < 7)
    assert middle.share == pytest.approx(0.5)
    assert middle.low < 0.5 < middle.high


def test_the_probe_scores_every_utterance(speakers: Corpus) -> None:
    one_session = np.repeat(np.arange(12 * 5), 4)
    assert probe(speakers, one_session).n == 12 * 5 * 4
