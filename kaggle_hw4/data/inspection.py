"""What a packed corpus holds, in numbers."""

from pathlib import Path
from typing import Any

import numpy as np

from kaggle_hw4.data.packed import open_packed, read_manifest
from kaggle_hw4.data.segments import IntArray

QUANTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


def inspect_corpus(folder: Path) -> dict[str, Any]:
    """Counts, lengths (frames of 10 ms), levels (nat) and the balance of the speakers."""
    packed = open_packed(folder)
    per_speaker = np.bincount(packed.labels[packed.train], minlength=len(packed.speakers))
    return {
        "hash": packed.hash,
        "counts": {
            "speakers": len(packed.speakers),
            "training_utterances": len(packed.train),
            "test_utterances": len(packed.test),
            "frames": int(packed.lengths.sum()),
            "hours": float(packed.lengths.sum() / 360_000),
        },
        "training_lengths": describe_lengths(packed.lengths[packed.train]),
        "test_lengths": describe_lengths(packed.lengths[packed.test]),
        "levels": read_manifest(folder).statistics,
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
