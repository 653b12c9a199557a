"""What a corpus holds, in numbers."""

from dataclasses import dataclass

import numpy as np

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.levels import Levels
from kaggle_hw4.data.manifest import read_manifest
from kaggle_hw4.data.segments import IntArray

QUANTILES = (
    ("min", 0), ("p1", 1), ("p5", 5), ("p25", 25), ("median", 50),
    ("p75", 75), ("p95", 95), ("p99", 99), ("max", 100),
)  # fmt: skip
FRAMES_PER_HOUR = 360_000


@dataclass(frozen=True)
class Counts:
    """The size of a corpus."""

    speakers: int
    training_utterances: int
    test_utterances: int
    frames: int  # 10 ms each
    hours: float


@dataclass(frozen=True)
class Lengths:
    """The distribution of utterance lengths, in frames of 10 ms."""

    min: float
    p1: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    p99: float
    max: float
    mean: float
    deviation: float
    shorter_than_128: int  # utterances


@dataclass(frozen=True)
class Balance:
    """Training utterances per speaker."""

    min: int
    mean: float
    max: int


@dataclass(frozen=True)
class Inspection:
    """A corpus in numbers."""

    hash: str
    edition: int | None  # the year; None if the test set is no edition's
    counts: Counts
    training_lengths: Lengths
    test_lengths: Lengths
    levels: Levels
    utterances_per_speaker: Balance


def inspect_corpus(corpus: Corpus) -> Inspection:
    """Edition, counts, lengths, levels (nat) and balance of `corpus`."""
    return Inspection(
        hash=corpus.hash,
        edition=corpus.edition.year if corpus.edition else None,
        counts=_count(corpus),
        training_lengths=describe_lengths(corpus.lengths[corpus.train]),
        test_lengths=describe_lengths(corpus.lengths[corpus.test]),
        levels=read_manifest(corpus.folder).statistics,
        utterances_per_speaker=_balance(corpus),
    )


def describe_lengths(lengths: IntArray) -> Lengths:
    """The distribution of `lengths` (n,)."""
    quantiles = np.percentile(lengths, [percent for _, percent in QUANTILES])
    return Lengths(
        **{name: float(value) for (name, _), value in zip(QUANTILES, quantiles, strict=True)},
        mean=float(lengths.mean()),
        deviation=float(lengths.std()),
        shorter_than_128=int((lengths < 128).sum()),
    )


def _count(corpus: Corpus) -> Counts:
    return Counts(
        speakers=len(corpus.speakers),
        training_utterances=len(corpus.train),
        test_utterances=len(corpus.test),
        frames=int(corpus.lengths.sum()),
        hours=float(corpus.lengths.sum() / FRAMES_PER_HOUR),
    )


def _balance(corpus: Corpus) -> Balance:
    counts = np.bincount(corpus.labels[corpus.train], minlength=len(corpus.speakers))
    return Balance(int(counts.min()), float(counts.mean()), int(counts.max()))
