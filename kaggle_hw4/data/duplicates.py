"""Twins: one recording that stands in the training set more than once.

The same words in the same voice, copied or played through another room, make a held-out session
easy: the model has heard the sentence. They are found by what they have in common, the course of
every band over time, which a channel leaves as it is.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kaggle_hw4.data.corpus import Corpus

LAG = 6  # frames by which twins may be cut differently, at either end
ALIKE = 0.35  # correlation; different sentences of one speaker stay below 0.3, mostly


def find_near_duplicates(corpus: Corpus, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Pairs of places in `rows`, which are of one speaker, whose utterances are twins."""
    frames = [standardise(corpus.features(int(row)).numpy()) for row in rows]
    for i, one in enumerate(frames):
        for j in range(i):
            alike = abs(len(one) - len(frames[j])) <= 2 * LAG
            if alike and correlation(one, frames[j]) > ALIKE:
                yield i, j


def standardise(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`frames` (T, n_mels) without their mean, and with a mean square of 1 over all."""
    centred = frames - frames.mean(0)
    scaled: npt.NDArray[np.float32] = centred / max(float(np.sqrt(np.square(centred).mean())), 1e-6)
    return scaled


def correlation(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """The largest correlation of two courses, shifted by up to LAG frames."""
    found = []
    for lag in range(-LAG, LAG + 1):
        a, b = one[max(0, lag) :], other[max(0, -lag) :]
        n = min(len(a), len(b))
        found.append(float(np.vdot(a[:n], b[:n])) / (n * one.shape[1]) if n else 0.0)
    return max(found)
