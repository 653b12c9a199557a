"""Synthetic logits of many speakers, and what keeping the largest k of a row would change.

    python -m benchmarks.many_speakers [SPEAKERS]

Members are like trained ones: cosines with random directions of the speakers, times a scale of 30.
How near an utterance is to its speaker varies, the same for all members: some are hard for all.
What is missing of a member's row is taken as its log-mean-exp, so that each row still sums to 1.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax

from benchmarks.bench.page import table
from benchmarks.ensemble import write_manifest
from kaggle_hw4.logits import Floats, Logits, LowRankLogits
from kaggle_hw4.runs import Run

WIDTH = 256  # of Boss's embeddings
SCALE = 30.0  # of its cosines
SPEAKERS, ROWS = 60_000, 400
KEPT = (64, 256, 1024, 4096)
TOLERANCE = 1e-4  # of a probability


def directions(random: np.random.Generator, n: int, width: int = WIDTH) -> Floats:
    """Random unit vectors (n, width)."""
    points = random.standard_normal((n, width), np.float32)
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float32)


def member_logits(
    y: np.ndarray, classes: int, member: int, part: int = 0, scale: float = SCALE
) -> LowRankLogits:
    """Logits of one member; y: (n,) true classes. `part` draws other utterances."""
    difficulty = np.random.default_rng([1, part]).uniform(0.25, 0.75, len(y)).astype(np.float32)
    vectors = directions(np.random.default_rng([2, member]), classes)
    noise = directions(np.random.default_rng([3, member, part]), len(y))
    share = np.clip(difficulty, 0, 1)[:, None]
    mixed = share * vectors[y] + np.sqrt(1 - share**2) * noise
    return LowRankLogits.of(np.asarray(scale * mixed, np.float32), vectors)


def keep_largest(logp: Floats, k: int) -> tuple[np.ndarray, Floats, Floats]:
    """The k likeliest classes (n, k) of log-probabilities (n, C), their log-probabilities, and the
    log-mean-exp (n, 1) of the others.
    """
    classes = np.argpartition(-logp, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(logp, classes, 1)
    others = logp.copy()
    np.put_along_axis(others, classes, -np.inf, 1)
    return classes, values, logsumexp(others, axis=1, keepdims=True) - np.log(logp.shape[1] - k)


def changes(members: list[Floats], k: int) -> np.ndarray:
    """The largest change (n,) of a probability in the mean of members' log-probabilities."""
    exact = softmax(np.mean(members, 0), axis=1)
    total = np.zeros_like(exact)
    for logp in members:
        classes, values, rest = keep_largest(logp, k)
        kept = np.broadcast_to(rest, logp.shape).copy()
        np.put_along_axis(kept, classes, values, 1)
        total += kept / len(members)
    return np.asarray(np.abs(softmax(total, axis=1) - exact).max(1))


def rows_of_top_k(classes: int) -> Iterator[tuple[str, ...]]:
    y = np.random.default_rng(0).integers(0, classes, ROWS)
    logits = [member_logits(y, classes, member).dense() for member in (0, 1)]
    for name, temperature in (("sharp", 0.8), ("as trained", 1.0), ("flat", 1.5)):
        members = [np.asarray(log_softmax(x / np.float32(temperature), axis=1)) for x in logits]
        tops = np.mean([np.exp(logp.max(1)) for logp in members])
        for k in KEPT:
            largest = changes(members, k)
            wrong = f"{(largest > TOLERANCE).mean():.0%}"
            yield (
                name,
                f"{tops:.2f}",
                f"{k:,}",
                wrong,
                f"{np.median(largest):.1e}",
                (f"{largest.max():.2f}"),
            )


def top_k_table(classes: int) -> str:
    """What top-k would change in a blend of two members, for docs/scale_measured.md."""
    header = ("logits", "likeliest", "k", "rows changed by more than 1e-4", "median", "most")
    return table(header, rows_of_top_k(classes))


def write_run(
    folder: Path,
    y: np.ndarray,
    classes: int,
    member: int,
    fold: int,
    folds: int,
    as_matrix: bool,
    scale: float = SCALE,
) -> int:
    """A finished run, as far as an ensemble reads it; y: (N,) true classes. Returns its bytes."""
    run = Run(folder / f"m{member}-0" / f"fold{fold}-seed0")
    run.folder.mkdir(parents=True)
    rows, tests = np.arange(len(y))[fold::folds], np.arange(len(y) // 4)
    parts = {"oof": (rows, "u", fold), "test": (tests, "t", folds)}
    sha256 = {}
    for name, (chosen, letter, part) in parts.items():
        # The test set is the same for all folds, whose models have other directions.
        logits = member_logits(y[chosen], classes, folds * member + fold, part, scale)
        values = logits.dense() if as_matrix else logits
        ids = tuple(f"{letter}{i:07}" for i in chosen)
        sha256[f"{name}.safetensors"] = run.write_logits(name, Logits(ids, values))
    write_manifest(run, fold, max(2, folds), sha256)
    return sum(path.stat().st_size for path in run.folder.glob("*.safetensors"))


if __name__ == "__main__":
    print(top_k_table(int(sys.argv[1]) if len(sys.argv) > 1 else SPEAKERS))
