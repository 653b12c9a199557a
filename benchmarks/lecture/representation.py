"""Chapter 9: bottlenecks, linear and not, and embeddings of quantised frames by counting."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from torch import nn

from benchmarks.lecture.claims import Claim, mean_and_spread
from benchmarks.lecture.lab import Lab
from benchmarks.lecture.pictures import Labels
from kaggle_hw4.report.plots import Series, lines

Array = npt.NDArray[Any]
WIDTHS = (2, 4, 8, 16)
WINDOW = 5  # frames that the autoencoder is given, concatenated
STEPS, BATCH = 1500, 256
CODES, RANK, AROUND = 64, 8, 2  # of the quantised frames; frames on each side that co-occur


def normalised(lab: Lab, rows: Array, limit: int) -> list[Array]:
    """Utterances (T, n_mels) without their means, at most `limit` frames in all."""
    frames, total = [], 0
    for row in rows:
        x = lab.frames(int(row)).numpy()
        frames.append(x - x.mean(0))
        total += len(x)
        if total >= limit:
            break
    return frames


def windows(utterances: list[Array]) -> Array:
    """Every second window of some frames, concatenated."""
    parts = [
        np.lib.stride_tricks.sliding_window_view(x, WINDOW, axis=0)[::2].reshape(
            -1, WINDOW * x.shape[1]
        )
        for x in utterances
    ]
    return np.concatenate(parts).astype(np.float32)


def bottleneck(lab: Lab) -> tuple[Claim, str]:
    """The error of an autoencoder and of PCA on windows of other speakers' frames."""
    speakers = np.arange(len(lab.corpus.speakers))
    labels = lab.corpus.labels[lab.corpus.train]
    known = lab.corpus.train[labels < len(speakers) * 3 // 4]
    other = lab.corpus.train[labels >= len(speakers) * 3 // 4]
    train, test = (windows(normalised(lab, rows, 60_000)) for rows in (known, other))
    mean, deviation = train.mean(0), train.std(0)
    train, test = (train - mean) / deviation, (test - mean) / deviation
    total = float(np.square(test).mean())
    rows, linear, curved = [], [], []
    for width in WIDTHS:
        pca = PCA(width, random_state=0).fit(train)
        linear.append(
            float(np.square(test - pca.inverse_transform(pca.transform(test))).mean()) / total
        )
        errors = [autoencoder_error(train, test, width, seed) / total for seed in lab.seeds]
        curved.append(errors)
        rows.append((str(width), f"{linear[-1]:.3f}", mean_and_spread(errors, 3)))
    svg = lines(
        Labels("bottleneck", "What is lost", "", "width of the bottleneck", "unexplained variance"),
        [
            Series("PCA", WIDTHS, linear),
            Series("autoencoder", WIDTHS, np.mean(curved, 1), np.min(curved, 1), np.max(curved, 1)),
        ],
    )
    better = [max(errors) < error for errors, error in zip(curved, linear, strict=True)]
    return Claim(
        "bottleneck",
        "An autoencoder's bottleneck is non-linear where PCA is linear",
        "at every width and from every seed, an autoencoder leaves less variance unexplained than "
        "PCA, on speakers that neither was fitted to",
        all(better),
        ("width", "PCA: unexplained variance", "autoencoder: unexplained variance"),
        tuple(rows),
        "bottleneck",
        f"Windows of {WINDOW} frames, through a bottleneck and back, on other speakers.",
    ), svg


def autoencoder_error(train: Array, test: Array, width: int, seed: int) -> float:
    """The mean squared error on `test` of an autoencoder that was fitted to `train`."""
    torch.manual_seed(seed)
    size, hidden = train.shape[1], 256
    model = nn.Sequential(
        nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, width),
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, size),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    data, random = torch.from_numpy(train), np.random.default_rng(seed)
    for _ in range(STEPS):
        x = data[random.integers(0, len(data), BATCH)]
        loss = (model(x) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        return float((model(torch.from_numpy(test)) - torch.from_numpy(test)).square().mean())


def counts(lab: Lab) -> Claim:
    """U Σ^½ of the co-occurrences of quantised frames: are near codes acoustically alike?"""
    utterances = normalised(lab, lab.corpus.train, 100_000)
    frames = np.concatenate(utterances)
    shares = []
    for seed in lab.seeds:
        kmeans = KMeans(CODES, n_init=1, random_state=seed).fit(frames[::3])
        table = np.zeros((CODES, CODES))
        for x in utterances:
            codes = kmeans.predict(x)
            for step in range(1, AROUND + 1):
                np.add.at(table, (codes[:-step], codes[step:]), 1)
        embedding = count_embedding(table + table.T, RANK)
        distance = np.linalg.norm(
            kmeans.cluster_centers_[:, None] - kmeans.cluster_centers_, axis=2
        )
        shares.append(percentile_of_nearest(embedding, distance))
    rows = (
        (f"U_k Σ_k^½ of width {RANK}", mean_and_spread([100 * s for s in shares], 1)),
        ("one-of-N codes (all cosines are 0: a tie, by chance)", "50"),
    )
    return Claim(
        "counts",
        "One-of-N codes are unrelated; embeddings of a co-occurrence matrix by truncated SVD, "
        "U_k Σ_k^½, are not",
        "the nearest code by embedding is among the nearest quarter by sound, the mean over codes, "
        "from every seed",
        max(shares) < 0.25,
        ("code", "rank by sound of the nearest code by embedding, % (chance: 50)"),
        rows,
    )


def count_embedding(table: Array, rank: int) -> Array:
    """U_k Σ_k^½ (N, rank) of the positive pointwise mutual information of counts (N, N)."""
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    information = np.log(np.maximum(table, 1e-12) / np.maximum(expected, 1e-12))
    u, sigma, _ = np.linalg.svd(np.maximum(information, 0))
    return np.asarray(u[:, :rank] * np.sqrt(sigma[:rank]))


def percentile_of_nearest(embedding: Array, distance: Array) -> float:
    """Of each code's nearest other by cosine, the rank by `distance` among all others, from 0
    (nearest) to 1; the mean over codes.
    """
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    ranks = distance.argsort(1).argsort(1)  # 0: itself
    nearest = cosines.argmax(1)
    return float(((ranks[np.arange(len(nearest)), nearest] - 1) / (len(nearest) - 2)).mean())
