"""How many utterances of a session stand together: in the test set, and in a fold made alike.

Label spreading is worth more where a set holds more utterances of each session. Folds of whole
sessions may be denser than the test set, and validation on them then overestimates. So the density
of the test set is estimated from the features, and a fold's validation rows are spread over in
thinned subsets as dense as that.
"""

import numpy as np
import numpy.typing as npt

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.speakers import rows_of_speakers

RANKS = (1, 2, 3, 4, 6, 8, 10)  # neighbours whose distances show how many share a session
LAST = 30  # the neighbour that the others are compared with
SHARES = tuple(2 ** (-k / 4) for k in range(25))  # of a session's utterances: 1 to 1/64

Descriptors = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def density(sessions: IntArray) -> float:
    """Utterances (n,) in the session of an utterance, itself included: the mean over utterances."""
    sizes = np.bincount(sessions)
    return float(np.square(sizes).sum() / sizes.sum())


def estimate_share(corpus: Corpus, sessions: IntArray) -> float:
    """The share of each training session's utterances that makes a set as dense as the test set of
    `corpus`; 1 where that is as dense as the training set, or denser. No label of it is used.

    Sets as large as the test set are drawn from the training utterances, with a share of each of
    their session clusters `sessions` (n_train,). The estimate is the share with which the distances
    to the nearest others rise most like in the test set (docs/LOG.md has what that is worth).
    """
    descriptors = corpus.channels.descriptor
    train, labels = descriptors[corpus.train], corpus.labels[corpus.train]
    quota = len(corpus.test) / len(corpus.speakers)
    least = 1 / int(np.bincount(sessions).max())
    shares = [share for share in SHARES if share >= least]
    drawn = [draw(labels, sessions, share, quota) for share in shares]
    count = min(LAST, len(corpus.test) - 1, *(len(rows) - 1 for rows in drawn))
    if count < 2:
        return 1.0
    test = _rises_in_set(descriptors[corpus.test], count)
    means = [_rises_in_set(train[rows], count).mean(0) for rows in drawn]
    distances = np.square((np.array(means) - test.mean(0)) / (test.std(0) + 1e-9)).mean(1)
    return shares[int(distances.argmin())]


def _rises_in_set(descriptors: Descriptors, count: int) -> npt.NDArray[np.float64]:
    # Imported here: scikit-learn takes two seconds, and reading folds does not need it.
    from kaggle_hw4.data.distances import nearest_distances, rises

    rows = np.arange(len(descriptors))
    return rises(nearest_distances(descriptors, descriptors, count, (rows, rows)), RANKS)


def draw(labels: IntArray, sessions: IntArray, share: float, quota: float) -> IntArray:
    """Rows of about `quota` utterances of each speaker `labels` (n,), at random: about `share` of
    each of as many of their `sessions` (n,) as it takes.

    A session is never cut: where it would exceed the quota, it is taken so often that the mean
    over speakers is right.
    """
    random = np.random.default_rng(round(1e6 * share))
    chosen: list[int] = []
    for rows in rows_of_speakers(labels).values():
        missing = quota
        for session in random.permutation(np.unique(sessions[rows])):
            members = random.permutation(rows[sessions[rows] == session])
            kept = members[: int(share * len(members) + random.random())].tolist()
            chosen += kept if random.random() * len(kept) < missing else []
            missing -= len(kept)
            if missing <= 0:
                break
    return np.array(chosen, np.int64)


def _positions(sessions: IntArray, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Places (n,) on the circle of each row's session, from 0 to 1."""
    order = np.lexsort((random.random(len(sessions)), sessions))
    _, first, place, sizes = np.unique(
        sessions[order], return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.arange(len(sessions)) - first[place]
    positions = np.empty(len(sessions))
    positions[order] = (rank + random.random(len(sizes))[place]) / sizes[place]
    return positions


def thinned_subsets(
    sessions: IntArray, share: float, random: np.random.Generator
) -> list[tuple[IntArray, IntArray]]:
    """Subsets of n rows that hold `share` of each of their `sessions` (n,), and which of their rows
    count: (rows, rows that count), as indices; every row counts in one subset.

    The rows of a session stand around a circle, in random order from a random place on. A subset
    holds those in an arc of `share` of the circle, and those at its beginning count.
    """
    if share >= 1:
        return [(np.arange(len(sessions)),) * 2]
    position = _positions(sessions, random)
    count = int(np.ceil(1 / share - 1e-9))
    part = np.minimum((position * count).astype(np.int64), count - 1)
    subsets = []
    for k in range(count):
        within = (part == k) | ((position - k / count) % 1 < share)
        subsets.append((np.flatnonzero(within), np.flatnonzero(part == k)))
    return [subset for subset in subsets if len(subset[1])]
