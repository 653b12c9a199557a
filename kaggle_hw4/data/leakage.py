"""Leakage between training and validation: pairs of utterances that must not be on both sides."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.duplicates import find_near_duplicates
from kaggle_hw4.data.speakers import rows_of_speakers

MIN_TRAINING = 3  # utterances of a speaker that every fold must be left to train on

Progress = Callable[[int, int], None]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def find_leakage_pairs(corpus: Corpus, progress: Progress) -> IntArray:
    """Pairs (m, 2) of training rows: the first must not be trained on where the second is
    validated. Each row and the two of its speaker with the nearest channel; near-duplicates, in
    both orders. `progress(done, total)` counts speakers.
    """
    # Imported here: scikit-learn takes two seconds, and reading folds does not need it.
    from kaggle_hw4.data.sessions import nearest_of_speaker

    labels = corpus.labels[corpus.train]
    nearest = nearest_of_speaker(corpus.channels.descriptor[corpus.train], labels)
    pairs = [(row, int(other)) for row, others in enumerate(nearest) for other in others]
    speakers = rows_of_speakers(labels)
    for done, rows in enumerate(speakers.values(), 1):
        for i, j in find_near_duplicates(corpus, rows):
            pairs += [(int(rows[i]), int(rows[j])), (int(rows[j]), int(rows[i]))]
        progress(done, len(speakers))
    return np.array(pairs, np.int64)


def purge(pairs: IntArray, labels: IntArray, fold: IntArray, count: int) -> BoolArray:
    """Whether row i is not trained on in fold k (n, count), because the second row of one of its
    leakage `pairs` (m, 2) is validated there. Nothing is purged of a speaker who would be left with
    too few utterances.
    """
    purged = np.zeros((len(fold), count), bool)
    purged[pairs[:, 0], fold[pairs[:, 1]]] = True
    purged[np.arange(len(fold)), fold] = False  # validation rows are not trained on anyway
    for rows in rows_of_speakers(labels).values():
        for k in range(count):
            if ((fold[rows] != k) & ~purged[rows, k]).sum() < MIN_TRAINING:
                purged[rows, k] = False
    return purged
