"""What an accuracy on so many rows can say."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Z = 1.96  # 95 %


def accuracy(right: Array) -> dict[str, float]:
    """Accuracy of `right` (n,) with its 95 % interval (Wilson 1927)."""
    n = len(right)
    p = float(np.mean(right))
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return {"accuracy": p, "low": float(centre - half), "high": float(centre + half), "n": n}


def paired_gain(ours: Array, theirs: Array) -> tuple[float, float]:
    """Mean difference of two predictions on the same rows, and its standard error."""
    difference = ours.astype(float) - theirs.astype(float)
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))
