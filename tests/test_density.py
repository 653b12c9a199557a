"""Validation rows are spread over in subsets that are as dense as the test set."""

import numpy as np
import pytest

from kaggle_hw4.data.corpus import Corpus, pack
from kaggle_hw4.data.density import density, draw, thinned_subsets
from kaggle_hw4.data.folds import make_folds
from kaggle_hw4.synth.corpus import write_corpus
from tests.conftest import chosen, column


def test_density_is_that_of_the_session_of_an_utterance() -> None:
    assert density(np.array([0, 0, 1, 1])) == 2
    assert density(np.array([0, 0, 0, 2])) == (3 + 3 + 3 + 1) / 4


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, dict[str, str]]:
    """A corpus with 10 utterances of every session, also in the test set; and their sessions."""
    folder = tmp_path_factory.mktemp("density")
    sizes = {"sessions": 4, "utterances": 10, "test_sessions": 2, "test_utterances": 10}
    write_corpus(folder / "corpus", speakers=16, frames=120, **sizes)
    sessions = column(folder / "corpus" / "sessions.csv", "Session")
    speakers = column(folder / "corpus" / "sessions.csv", "Speaker")
    corpus = pack(folder / "corpus", folder / "packed")
    return corpus, {key: speakers[key] + session for key, session in sessions.items()}


@pytest.mark.parametrize(("utterances", "expected"), [(2, 0.2), (4, 0.4), (10, 1.0)])
def test_the_density_of_the_test_set_is_estimated_without_its_labels(
    dense: tuple[Corpus, dict[str, str]], utterances: int, expected: float
) -> None:
    corpus, session = dense
    kept: dict[str, list[int]] = {}
    for row in corpus.test:
        kept.setdefault(session[corpus.ids[row]], []).append(int(row))
    test = np.concatenate([rows[:utterances] for rows in kept.values()])
    folds = make_folds(chosen(corpus, corpus.train, test), "session", 4)
    assert 0.65 * expected <= folds.share <= 1.5 * expected
    for rows, _ in folds.subsets(0):
        ids = [corpus.ids[row] for row in folds.validation(0)[rows]]
        true = np.unique([session[name] for name in ids], return_inverse=True)[1]
        assert 0.6 * utterances <= density(true) <= 1.6 * utterances


def test_a_random_test_set_is_as_much_thinner_as_it_is_smaller(corpus: Corpus) -> None:
    folds = make_folds(corpus, "utterance", 2)
    assert folds.share == pytest.approx(min(1.0, 2 * len(corpus.test) / len(corpus.train)))


@pytest.mark.parametrize("share", [1.0, 0.84, 0.5, 0.42, 0.1])
def test_every_row_counts_once_and_sessions_are_thinned_to_their_share(share: float) -> None:
    sessions = np.random.default_rng(3).permutation(np.repeat(np.arange(40), 10))
    subsets = thinned_subsets(sessions, share, np.random.default_rng(0))
    counted = np.concatenate([counted for _, counted in subsets])
    assert sorted(counted) == list(range(400))
    for rows, counted in subsets:
        assert set(counted) <= set(rows)
        sizes = np.bincount(sessions[rows], minlength=40)
        assert np.abs(sizes - 10 * share).max() < 1  # rounded up or down
    mean = np.mean([len(rows) for rows, _ in subsets])
    assert mean == pytest.approx(400 * share, rel=0.1)


def test_subsets_are_a_function_of_the_seed() -> None:
    sessions = np.arange(60) // 6
    first, again, other = (
        [rows.tolist() for rows, _ in thinned_subsets(sessions, 0.5, np.random.default_rng(seed))]
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_sessions_are_drawn_whole_up_to_the_quota() -> None:
    labels, sessions = np.repeat(np.arange(200), 12), np.arange(2400) // 4
    rows = draw(labels, sessions, 1.0, 6)
    assert set(np.bincount(sessions[rows])) == {0, 4}
    assert len(rows) / 200 == pytest.approx(6, rel=0.1)
    assert set(np.bincount(sessions[draw(labels, sessions, 0.5, 6)], minlength=600)) == {2}
    assert set(np.bincount(sessions[draw(labels, sessions, 0.5, 3)], minlength=600)) == {0, 2}
