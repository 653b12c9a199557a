"""Folds cover every utterance once, keep sessions whole and never change."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kaggle_hw4.data.corpus import Corpus, pack
from kaggle_hw4.data.folds import (
    assign_folds,
    assign_holdout_groups,
    find_folds,
    make_folds,
    read_folds,
    write_folds,
)
from kaggle_hw4.data.leakage import purge
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.progress import Progress
from kaggle_hw4.synth.corpus import write_corpus


@pytest.mark.parametrize("by", ["session", "utterance"])
@pytest.mark.parametrize("count", [2, 3])
def test_folds_cover_every_utterance_once(corpus: Corpus, by: str, count: int) -> None:
    folds = make_folds(corpus, by, count)
    validated = np.concatenate([folds.validation(k) for k in range(count)])
    assert sorted(validated) == corpus.train.tolist()
    for k in range(count):
        assert not set(folds.validation(k)) & set(folds.training(k))
        assert not set(folds.seen_session(k)) & set(folds.training(k))
        purged = set(np.flatnonzero(folds.purged[:, k]))
        rows = [*folds.validation(k), *folds.seen_session(k), *folds.training(k)]
        assert set(rows) | purged == set(corpus.train)
        assert not set(folds.training(k)) & purged


def test_a_fold_also_holds_out_utterances_of_sessions_it_trains_on(corpus: Corpus) -> None:
    folds = make_folds(corpus, "session", 2)
    assert len(folds.seen_session(0)) > 0
    assert not set(folds.seen_session(0)) & set(folds.seen_session(1))
    assert set(folds.session[folds.seen_session(0)]) <= set(folds.session[folds.training(0)])
    by_utterance = make_folds(corpus, "utterance", 2)
    assert len(by_utterance.seen_session(0)) == 0
    assert set(by_utterance.holdout) == {-1}


def test_the_progress_of_a_session_split_counts_the_speakers_of_each_stage(corpus: Corpus) -> None:
    counts: list[tuple[str, int, int | None]] = []

    def bar(name: str) -> Progress:
        return lambda done, total: counts.append((name, done, total))

    make_folds(corpus, "session", 2, bar=bar)
    stages = ("sessions", "near-duplicates")
    assert counts == [(name, done, 4) for name in stages for done in range(1, 5)]


def test_a_purged_row_is_not_trained_on(corpus: Corpus) -> None:
    folds = make_folds(corpus, "session", 2)
    row = folds.training(0)[0]
    purged = folds.purged.copy()
    purged[row, 0] = True
    other = dataclasses.replace(folds, purged=purged)
    assert row not in other.training(0)
    assert row in other.validation(1)
    assert len(other.training(0)) == len(folds.training(0)) - 1
    assert other.hash != folds.hash
    assert not make_folds(corpus, "utterance", 2).purged.any()


def test_leakage_pairs_are_purged_unless_a_speaker_has_nothing_else() -> None:
    labels, fold = np.repeat([0, 1], [8, 4]), np.arange(12) % 2
    pairs = np.array([[0, 1], [1, 0], [8, 9], [9, 8], [10, 11], [11, 10]])
    purged = purge(pairs, labels, fold, 2)
    assert np.argwhere(purged).tolist() == [[0, 1], [1, 0]]


def test_a_speaker_keeps_enough_to_train_on() -> None:
    labels, fold = np.repeat([0, 1], [20, 4]), np.arange(24) % 2
    holdout = assign_holdout_groups(labels, fold, seed=0)
    assert set(holdout[labels == 0]) == set(range(10))
    assert set(holdout[labels == 1]) == {-1}


@pytest.mark.parametrize("by", ["session", "utterance"])
def test_every_speaker_is_trained_on_in_every_fold(corpus: Corpus, by: str) -> None:
    folds = make_folds(corpus, by, 3)
    for k in range(3):
        assert set(corpus.labels[folds.training(k)]) == set(range(4))


def test_a_session_lies_in_one_fold(corpus: Corpus) -> None:
    folds = make_folds(corpus, "session", 3)
    for session in np.unique(folds.session):
        members = folds.session == session
        assert len(set(folds.fold[members])) == 1
        assert len(set(corpus.labels[corpus.train][members])) == 1


def test_folds_are_stratified_and_even() -> None:
    labels = np.repeat(np.arange(50), 20)
    fold = assign_folds(labels, np.arange(1000), 5, seed=0)
    counts = np.array([np.bincount(fold[labels == s], minlength=5) for s in range(50)])
    assert (counts == 4).all()
    assert (fold != assign_folds(labels, np.arange(1000), 5, seed=1)).any()


def test_a_table_is_written_once_and_read_back(corpus: Corpus, tmp_path: Path) -> None:
    folds = make_folds(corpus, "session", 2)
    path = write_folds(tmp_path, folds, corpus)
    before = path.read_bytes()
    with pytest.raises(DataError, match="exists already"):
        write_folds(tmp_path, make_folds(corpus, "session", 2), corpus)
    assert path.read_bytes() == before
    assert read_folds(path, corpus).hash == folds.hash
    assert (find_folds(tmp_path, corpus, None).fold == folds.fold).all()


@pytest.mark.parametrize("column", ["id", "session", "fold", "holdout"])
def test_a_changed_table_is_refused(corpus: Corpus, tmp_path: Path, column: str) -> None:
    path = write_folds(tmp_path, make_folds(corpus, "session", 2), corpus)
    header, names, first, second, *rest = path.read_text().splitlines()
    cells, place = first.split(","), names.split(",").index(column)
    cells[place] = second.split(",")[place] if column == "id" else str(1 - int(cells[place] == "1"))
    assert ",".join(cells) != first
    path.write_text("\n".join([header, names, ",".join(cells), second, *rest, ""]))
    with pytest.raises(DataError, match="was changed after it was written"):
        read_folds(path, corpus)


def test_a_table_of_another_format_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    path = write_folds(tmp_path, make_folds(corpus, "session", 2), corpus)
    path.write_text(path.read_text().replace('"format": 3, ', ""))
    with pytest.raises(DataError, match="another version of hw4; delete it and run `hw4 split`"):
        read_folds(path, corpus)


@pytest.mark.parametrize("text", ["", "id,fold", "# {}", "# []", '# {"format": 2}', "# {"])
def test_a_file_that_is_no_table_is_refused(corpus: Corpus, tmp_path: Path, text: str) -> None:
    (tmp_path / "session2.csv").write_text(text)
    with pytest.raises(DataError, match="run `hw4 split` again"):
        read_folds(tmp_path / "session2.csv", corpus)


def test_more_folds_than_sessions_are_refused(corpus: Corpus) -> None:
    with pytest.raises(UsageError, match="too few sessions"):
        make_folds(corpus, "session", 30)


def test_folds_of_another_corpus_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    write_corpus(tmp_path / "other", speakers=2, sessions=2, utterances=2, frames=100, seed=9)
    other = pack(tmp_path / "other", tmp_path / "packed")
    path = write_folds(tmp_path / "folds", make_folds(other, "utterance", 2), other)
    with pytest.raises(DataError, match="splits corpus"):
        read_folds(path, corpus)


def test_one_of_two_tables_must_be_named(corpus: Corpus, tmp_path: Path) -> None:
    for by in ("session", "utterance"):
        write_folds(tmp_path, make_folds(corpus, by, 2), corpus)
    with pytest.raises(UsageError, match="session2, utterance2"):
        find_folds(tmp_path, corpus, None)
    assert find_folds(tmp_path, corpus, "utterance2").by == "utterance"
