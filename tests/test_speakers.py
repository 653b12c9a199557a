"""Rows of speakers, found in one sort."""

import time

import numpy as np

from kaggle_hw4.data.speakers import rows_of_speakers


def test_the_rows_of_a_speaker_are_all_that_have_its_label() -> None:
    labels = np.random.default_rng(0).integers(0, 40, 500) * 3
    rows = rows_of_speakers(labels)
    assert list(rows) == np.unique(labels).tolist()
    for label, own in rows.items():
        assert own.tolist() == np.flatnonzero(labels == label).tolist()
    assert rows_of_speakers(labels[:0]) == {}


def test_many_speakers_take_no_comparison_each() -> None:
    """Four billion comparisons would take seconds."""
    labels = np.random.default_rng(0).integers(0, 20_000, 200_000)
    begin = time.process_time()
    assert sum(map(len, rows_of_speakers(labels).values())) == 200_000
    assert time.process_time() - begin < 1
