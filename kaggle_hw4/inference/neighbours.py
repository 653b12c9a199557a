"""Nearest utterances by voice and channel: exact up to some hundred thousand, approximate beyond.

All similarities grow with the square of the utterances. Beyond EXACT of them, an inverted file
(Jégou et al. 2011, faiss) compares each with those in the nearest few of many clusters: utterances
of one session, which label spreading is for, are in one cluster or in neighbouring ones.
docs/scale.md has what is found, and what it costs. On one thread it is the same every time.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import Progress

EXACT = 2**18  # utterances up to which all are compared
CHUNK = 2048  # rows of the similarities at a time
LISTS = 4  # clusters for each square root of the utterances
PROBED = 32  # clusters that an utterance is compared with
LEARNED = 64  # utterances that a cluster is learned from
ROUNDS = 10  # of k-means
INSTALL = "pip install 'kaggle_hw4[large]', or predict without label spreading"

Floats = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def find_nearest(
    embeddings: Tensor, channels: Tensor, count: int, progress: Progress | None = None
) -> tuple[Tensor, Tensor]:
    """Similarities and indices, both (n, count), of each one's nearest others, best first.

    `progress(done, total)` counts utterances. UsageError where there are too many to compare all,
    and the library for it is missing.
    """
    points = torch.cat([directions(embeddings), directions(channels)], 1) / 2**0.5
    count = min(count, len(points) - 1)
    if len(points) > EXACT:
        return approximate_nearest(points, count, progress)
    return exact_nearest(points, torch.arange(len(points)), count, progress)


def directions(x: Tensor) -> Tensor:
    """Rows (n, D) of length 1, seen from their common centre, in units of their deviations."""
    x = x.float()
    return F.normalize((x - x.mean(0)) / x.std(0).clamp_min(1e-6))


def exact_nearest(
    points: Tensor, rows: Tensor, count: int, progress: Progress | None = None
) -> tuple[Tensor, Tensor]:
    """Similarities and indices (m, count) of the nearest `points` (n, D) to some `rows` of them."""
    chunks = []
    for start in range(0, len(rows), CHUNK):
        own = rows[start : start + CHUNK]
        similarity = points[own] @ points.T
        similarity[torch.arange(len(own)), own] = -torch.inf
        chunks.append(similarity.topk(count, dim=1))
        if progress:
            progress(start + len(own), len(rows))
    return torch.cat([c.values for c in chunks]), torch.cat([c.indices for c in chunks])


def approximate_nearest(
    points: Tensor, count: int, progress: Progress | None = None
) -> tuple[Tensor, Tensor]:
    """The same of all of them, compared with those in the PROBED nearest clusters alone."""
    values = np.ascontiguousarray(points.numpy())
    index = cluster(values)
    similarity = np.empty((len(values), count), np.float32)
    nearest = np.empty((len(values), count), np.int64)
    for start in range(0, len(values), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(values)))
        # One more than is asked for: the nearest is mostly the utterance itself.
        s, i = index.search(values[rows], count + 1)
        order = np.argsort(i == rows[:, None], axis=1, kind="stable")[:, :count]
        similarity[rows] = np.take_along_axis(s, order, 1)
        nearest[rows] = np.take_along_axis(i, order, 1)
        if progress:
            progress(int(rows[-1]) + 1, len(values))
    similar, chosen = torch.from_numpy(similarity), torch.from_numpy(nearest)
    short = torch.from_numpy(np.flatnonzero((nearest < 0).any(1)))
    if len(short):  # clusters with too few utterances in them
        similar[short], chosen[short] = exact_nearest(points, short, count)
    return similar, chosen


def cluster(points: Floats) -> Any:
    """An inverted file of `points` (n, D), as faiss has it, which is searched by inner products."""
    try:
        import faiss
    except ImportError as error:
        what = f"labels of {len(points):,} utterances are spread with faiss, which is missing"
        raise UsageError(what, INSTALL) from error
    n, width = points.shape
    lists = min(int(LISTS * n**0.5), n // LEARNED)
    quantizer = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFFlat(quantizer, width, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = 0, ROUNDS, LEARNED
    sample = np.random.default_rng(0).permutation(n)[: LEARNED * lists]
    index.train(points[np.sort(sample)])
    index.add(points)
    index.nprobe = PROBED
    return index
