"""Distances from each utterance to its nearest others, by their channel descriptors.

How they rise from the nearest on shows whether others of the same session are there: they stand
out by being much nearer than all the rest. Distances are compared as logarithms, each relative to
that of the last: neither a noisy session, far from everything, nor the unit matters.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import euclidean_distances

from kaggle_hw4.progress import Progress

CHUNK = 512  # rows of the distance matrix at a time
LEAST = 1e-3  # nat; copies of an utterance are this far apart

Floats = npt.NDArray[np.float64]
Descriptors = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def nearest_distances(
    queries: Descriptors,
    points: Descriptors,
    count: int,
    excluded: tuple[IntArray, IntArray] | None = None,
    progress: Progress = lambda *_: None,
) -> Floats:
    """Distances (n, count) of `queries` (n, d) to their nearest `points` (m, d), the nearest first.

    `excluded` are groups of the queries (n,) and of the points (m,): points of a query's own group
    are left out. Infinite where no points are left. `progress(done, total)` counts queries.
    """
    chunks = []
    for start in range(0, len(queries), CHUNK):
        distances = euclidean_distances(queries[start : start + CHUNK], points).astype(np.float64)
        if excluded is not None:
            own, others = excluded
            distances[own[start : start + CHUNK, None] == others] = np.inf
        chunks.append(np.sort(np.partition(distances, count - 1, axis=1)[:, :count], axis=1))
        progress(min(start + CHUNK, len(queries)), len(queries))
    return np.concatenate(chunks)


def rises(distances: Floats, ranks: Sequence[int]) -> Floats:
    """Logarithms (n, r) of sorted `distances` (n, k) at those `ranks` (from 1) that are below k,
    less that at rank k.
    """
    logs = np.log(np.maximum(distances, LEAST))
    kept = [rank - 1 for rank in ranks if rank < distances.shape[1]]
    return logs[:, kept] - logs[:, -1:]
