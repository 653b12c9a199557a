"""Session clusters: an estimate of the recording session of each utterance, from its channel.

The dataset does not say which utterances come from the same video, but the test set seems to come
from other videos than the training set. Validation on unseen sessions needs an estimate of them.
Channel descriptors (`data.channel`) serve: the quiet frames of an utterance show the room and its
noise, the louder ones the channel.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import silhouette_score

from kaggle_hw4.data.speakers import rows_of_speakers

MIN_SESSIONS = 5  # clusters of a speaker with enough utterances, also where there are fewer folds


def cluster_sessions(
    descriptors: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    min_sessions: int,
    progress: Callable[[int, int], None],
) -> npt.NDArray[np.int64]:
    """Session numbers (n,), unique over all speakers, of utterances with channel `descriptors`
    (n, d) and speakers `labels` (n,). No label of a session is used. `progress(done, total)` counts
    speakers.

    The descriptors of each speaker are clustered by Ward's method. The number of clusters is the
    one with the highest mean silhouette (Rousseeuw 1987) among those not below `min_sessions`,
    where the utterances allow it. Without this bound the silhouette chooses too few: sessions are
    merged, the held-out clusters are then atypical, and validation underestimates (docs/LOG.md).
    """
    sessions = np.empty(len(labels), np.int64)
    offset, speakers = 0, rows_of_speakers(labels)
    for done, rows in enumerate(speakers.values(), 1):
        clusters = cluster(descriptors[rows], min_sessions)
        sessions[rows] = offset + clusters
        offset += int(clusters.max()) + 1
        progress(done, len(speakers))
    return sessions


def nearest_of_speaker(
    descriptors: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """For each row the two rows (n, 2) of the same speaker with the nearest `descriptors` (n, d);
    the row itself where the speaker has no more.
    """
    nearest = np.arange(len(labels))[:, None].repeat(2, 1)
    for rows in rows_of_speakers(labels).values():
        distance = cdist(descriptors[rows], descriptors[rows])
        np.fill_diagonal(distance, np.inf)
        two = np.argsort(distance, axis=1, kind="stable")[:, :2]
        nearest[rows, : len(rows) - 1] = rows[two][:, : len(rows) - 1]
    return nearest


def cluster(descriptors: npt.NDArray[np.float32], min_clusters: int) -> npt.NDArray[np.int64]:
    """Cluster numbers (n,) of `descriptors` (n, d): at least `min_clusters`, but no more than
    n / 3 are demanded and at most n / 2 tried; never fewer than 2.
    """
    n = len(descriptors)
    min_clusters = max(2, min(min_clusters, n // 3))
    if n <= min_clusters:
        return np.arange(n)
    best, best_score = np.zeros(n, np.int64), -np.inf
    for k in range(min_clusters, max(min_clusters, n // 2) + 1):
        clusters = AgglomerativeClustering(k, linkage="ward").fit_predict(descriptors)
        score = silhouette_score(descriptors, clusters)
        if score > best_score:
            best, best_score = clusters, score
    return best
