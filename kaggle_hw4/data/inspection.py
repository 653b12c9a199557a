"""What a packed corpus holds, in numbers."""

from pathlib import Path
from typing import Any

import numpy as np

from kaggle_hw4.data.corpus import open_corpus
from kaggle_hw4.data.manifest import read_manifest
from kaggle_hw4.data.segments import IntArray

QUANTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


def inspect_corpus(folder: Path) -> dict[str, Any]:
    """Counts, lengths (frames of 10 ms), levels (nat) and the balance of the speakers."""
    corpus = open_corpus(folder)
    per_speaker = np.bincount(corpus.labels[corpus.train], minlength=len(corpus.speakers))
    return {
        "hash": corpus.hash,
        "counts": {
            "speakers": len(corpus.speakers),
            "training_utterances": len(corpus.train),
            "test_utterances": len(corpus.test),
            "frames": int(corpus.lengths.sum()),
            "hours": float(corpus.lengths.sum() / 360_000),
        },
        "training_lengths": describe_lengths(corpus.lengths[corpus.train]),
        "test_lengths": describe_lengths(corpus.lengths[corpus.test]),
        "levels": read_manifest(folder).statistics.model_dump(),
        "utterances_per_speaker": {
            "min": int(per_speaker.min()),
            "mean": float(per_speaker.mean()),
            "max": int(per_speaker.max()),
        },
    }


def describe_lengths(lengths: IntArray) -> dict[str, float]:
    quantiles = zip(QUANTILES, np.percentile(lengths, QUANTILES), strict=True)
    return {
        **{f"{q}_%": float(value) for q, value in quantiles},
        "mean": float(lengths.mean()),
        "deviation": float(lengths.std()),
        "shorter_than_128": int((lengths < 128).sum()),
    }
