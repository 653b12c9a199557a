"""Near-duplicates: one recording that occurs more than once in the training set.

A copy of a sentence, perhaps through another channel, makes a held-out session easy: the model was
trained on the same words in the same voice. Near-duplicates share the movement of every band over
time, which a channel does not change.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kaggle_hw4.data.corpus import Corpus

MAX_LAG = 6  # frames by which copies may be cut differently, at either end
MIN_CORRELATION = 0.35  # different sentences of one speaker mostly stay below 0.3


def find_near_duplicates(corpus: Corpus, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Pairs of indices into `rows`, which are of one speaker, of near-duplicate utterances."""
    frames = [standardise(corpus.features(int(row)).numpy()) for row in rows]
    for i, first in enumerate(frames):
        for j, second in enumerate(frames[:i]):
            similar = abs(len(first) - len(second)) <= 2 * MAX_LAG
            if similar and correlation(first, second) > MIN_CORRELATION:
                yield i, j


def standardise(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`frames` (T, n_mels) without each band's mean, scaled to a mean square of 1 over all."""
    centred = frames - frames.mean(0)
    scaled: npt.NDArray[np.float32] = centred / max(float(np.sqrt(np.square(centred).mean())), 1e-6)
    return scaled


def correlation(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """The largest correlation of two standardised utterances over lags of up to MAX_LAG frames."""
    correlations = []
    for lag in range(-MAX_LAG, MAX_LAG + 1):
        a, b = first[max(0, lag) :], second[max(0, -lag) :]
        n = min(len(a), len(b))
        correlations.append(float(np.vdot(a[:n], b[:n])) / (n * first.shape[1]) if n else 0.0)
    return max(correlations)
