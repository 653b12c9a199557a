"""The count-based embedding: which quantised frames occur near which."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from kaggle_hw4.data.segments import FrameStore, IntArray, Segments
from kaggle_hw4.pretraining.model import unit_frames
from kaggle_hw4.pretraining.recipe import CountsConfig

UTTERANCES = 1024  # at the most that are counted
BATCH = 4096  # units of a step of k-means

FloatArray = npt.NDArray[np.float32]


def embed_codes(
    store: FrameStore, rows: IntArray, config: CountsConfig, seed: int
) -> tuple[FloatArray, FloatArray]:
    """The centres (K, F) that the frames of `rows` are quantised to, by k-means from `seed`, and
    the embeddings (K, width) of these codes, with a mean of 0 and a variance of 1 over the frames.
    """
    from sklearn.cluster import MiniBatchKMeans

    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(rows)[:UTTERANCES])
    parts = [_units(store, int(row)) for row in chosen]
    units = np.concatenate(parts)
    count = min(config.codes, len(units))
    means = MiniBatchKMeans(count, random_state=seed, batch_size=BATCH, n_init=1).fit(units)
    codes = np.split(means.labels_, np.cumsum([len(part) for part in parts])[:-1])
    embeddings = embed_counts(co_occurrences(codes, count, config.window), config.width)
    embeddings = _standardised(embeddings, means.labels_)
    # Codes that there are no frames for are never the nearest.
    centres = np.full((config.codes, units.shape[1]), 1e6, np.float32)
    table = np.zeros((config.codes, config.width), np.float32)
    centres[:count], table[:count] = means.cluster_centers_, embeddings
    return centres, table


def _standardised(embeddings: FloatArray, codes: npt.NDArray[np.int_]) -> FloatArray:
    """With a mean of 0 and a mean square of 1 over frames of these codes."""
    embeddings = embeddings - embeddings[codes].mean(0)
    return embeddings / max(1e-6, float(np.sqrt(np.square(embeddings[codes]).mean())))


def co_occurrences(
    codes: Sequence[npt.NDArray[np.int_]], count: int, window: int
) -> npt.NDArray[np.float64]:
    """How often (K, K) two codes are at most `window` apart in a sequence; symmetric."""
    table = np.zeros((count, count))
    for sequence in codes:
        for offset in range(1, min(window, len(sequence) - 1) + 1):
            np.add.at(table, (sequence[:-offset], sequence[offset:]), 1)
    return table + table.T


def embed_counts(table: npt.NDArray[np.float64], width: int) -> FloatArray:
    """U Σ^½ (K, width) of the truncated singular value decomposition of the positive pointwise
    mutual information of counts (K, K) (Levy and Goldberg 2014): raw counts would say little more
    than how frequent a code is. Zeros beyond the rank.
    """
    total, each = table.sum(), table.sum(1)
    expected = np.outer(each, each) / max(total, 1.0)
    ratio = np.divide(table, expected, out=np.ones_like(table), where=(table > 0) & (expected > 0))
    u, sigma, _ = np.linalg.svd(np.maximum(np.log(ratio), 0.0))
    u *= np.sign(u[np.abs(u).argmax(0), np.arange(len(u))])  # the sign is the solver's choice
    embedding = np.zeros((len(table), width), np.float32)
    kept = min(width, len(table))
    embedding[:, :kept] = u[:, :kept] * np.sqrt(sigma[:kept])
    return embedding


def _units(store: FrameStore, row: int) -> FloatArray:
    """The units (U, F) of an utterance, as an encoder is to know them."""
    chosen, length = np.array([row]), store.corpus.lengths[[row]]
    features, mask = store.gather(Segments(chosen, np.zeros_like(chosen), length))
    with torch.no_grad():
        units: FloatArray = unit_frames(features, mask)[0][0].cpu().numpy()
    return units
