"""What a study optimises, and the fold table that it needs."""

from pathlib import Path

import pytest

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, make_folds, write_folds
from kaggle_hw4.errors import UsageError
from kaggle_hw4.tuning.objective import OBJECTIVES, find_fold_table, find_objective


def test_an_unknown_objective_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="choose one of session, utterance, logloss") as raised:
        find_objective("luck")
    assert raised.value.parameter == "objective"


def test_one_of_several_fold_tables_has_to_be_named(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    write_folds(tmp_path, folds, corpus)
    write_folds(tmp_path, make_folds(corpus, "session", 3), corpus)
    write_folds(tmp_path, make_folds(corpus, "utterance", 2), corpus)
    with pytest.raises(UsageError, match="name one of session2, session3") as raised:
        find_fold_table(OBJECTIVES["logloss"], tmp_path, corpus, None)
    assert raised.value.parameter == "split"
    assert find_fold_table(OBJECTIVES["logloss"], tmp_path, corpus, "session3").count == 3
    assert find_fold_table(OBJECTIVES["utterance"], tmp_path, corpus, None).by == "utterance"
