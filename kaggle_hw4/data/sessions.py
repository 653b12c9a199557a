"""A proxy for the recording session of an utterance, from what the channel leaves in it.

The dataset does not say which utterances come from the same video, but the test set seems to come
from other videos than the training set. To validate on unseen sessions, they must be guessed:
the quiet frames of an utterance show the room and its noise, the louder ones the channel.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import silhouette_score

FEWEST = 5  # sessions of a speaker with utterances enough, whatever the folds


def cluster_sessions(
    described: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    fewest: int,
    progress: Callable[[int, int], None],
) -> npt.NDArray[np.int64]:
    """A session number, unique over all speakers, for each of n channels (n, d), which
    `data.channel` describes, of the speakers `labels` (n,).

    Features alone decide. Within each speaker, the channel descriptors are clustered by Ward's
    method; the number of sessions is the one with the highest mean silhouette (Rousseeuw 1987)
    among those that are no fewer than `fewest`, where the utterances allow it. Without a bound the
    silhouette asks for too few, and merged sessions leave only unlike ones to be held out:
    validation then reads too low (docs/LOG.md).
    """
    sessions = np.full(len(labels), -1, np.int64)
    following, speakers = 0, np.unique(labels)
    for done, label in enumerate(speakers):
        rows = np.flatnonzero(labels == label)
        found = cluster(described[rows], fewest)
        sessions[rows] = following + found
        following += int(found.max()) + 1
        progress(done + 1, len(speakers))
    return sessions


def nearest_of_speaker(
    described: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The two rows (n, 2) of the same speaker whose channels are nearest to each row's; the row
    itself where the speaker has no more.
    """
    found = np.arange(len(labels))[:, None].repeat(2, 1)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        distance = cdist(described[rows], described[rows])
        np.fill_diagonal(distance, np.inf)
        two = np.argsort(distance, axis=1, kind="stable")[:, :2]
        found[rows, : len(rows) - 1] = rows[two][:, : len(rows) - 1]
    return found


def cluster(descriptors: npt.NDArray[np.float32], fewest: int) -> npt.NDArray[np.int64]:
    """Cluster numbers (n,) of descriptors (n, d): `fewest` or more where n allows, 2 at least."""
    n = len(descriptors)
    fewest = max(2, min(fewest, n // 3))
    if n <= fewest:
        return np.arange(n)
    best, best_score = np.zeros(n, np.int64), -np.inf
    for k in range(fewest, max(fewest, n // 2) + 1):
        found = AgglomerativeClustering(k, linkage="ward").fit_predict(descriptors)
        score = silhouette_score(descriptors, found)
        if score > best_score:
            best, best_score = found, score
    return best
