"""Measurements, their medians and intervals, ratios of interleaved ones, fitted exponents."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Measurement:
    """All samples of one quantity, in the order in which they were taken."""

    name: str
    unit: str
    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.samples))

    @property
    def interval(self) -> tuple[float, float]:
        """The confidence interval of the median: 95 % or as near to it as there are samples."""
        return interval(self.samples)


@dataclass(frozen=True)
class Ratio:
    """How many times `numerator` is `denominator`, round by round: both were measured interleaved.

    `target` is what issue 14 asks for: "≥ 3", "≤ 1.6", or "" where it asks for nothing. `limit` is
    the ratio that would be measured if ours took no more time than its products alone.
    """

    name: str
    numerator: str
    denominator: str
    samples: tuple[float, ...]
    target: str = ""
    limit: float | None = None

    @property
    def median(self) -> float:
        return float(np.median(self.samples))

    @property
    def met(self) -> bool | None:
        if not self.target:
            return None
        sign, value = self.target.split()
        return self.median >= float(value) if sign == "≥" else self.median <= float(value)


@dataclass(frozen=True)
class Curve:
    """Costs at several sizes, and the exponent of the power law through their medians."""

    name: str
    size: str  # what the sizes count
    sizes: tuple[int, ...]
    costs: tuple[Measurement, ...]

    def exponent(self) -> tuple[float, float]:
        """By least squares in logarithms, with its standard error."""
        return fit_exponent(self.sizes, [cost.median for cost in self.costs])


@dataclass
class Part:
    """What one part of the benchmark measured, for a section of docs/performance.md."""

    title: str
    text: str = ""
    measurements: list[Measurement] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    def add(self, measured: Mapping[str, Measurement]) -> None:
        self.measurements += measured.values()

    def compare(
        self,
        name: str,
        a: Measurement,
        b: Measurement,
        target: str = "",
        limit: float | None = None,
    ) -> None:
        """Add the ratio of a to b."""
        samples = tuple(x / y for x, y in zip(a.samples, b.samples, strict=True))
        self.ratios.append(Ratio(name, a.name, b.name, samples, target, limit))


def interleave(
    calls: Mapping[str, Callable[[], float]], rounds: int, unit: str = "s", warm: bool = True
) -> dict[str, Measurement]:
    """Call each in turn (A B C A B C …), `rounds` times, after a turn to warm up.

    What a call returns is its sample, so that it may leave out its own preparation.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + warm):
        for name, call in calls.items():
            value = call()
            if turn or not warm:
                samples[name].append(value)
    return {name: Measurement(name, unit, tuple(values)) for name, values in samples.items()}


def interval(samples: Sequence[float]) -> tuple[float, float]:
    """The narrowest pair of ordered samples, equally far from both ends, that covers the median
    with 95 % probability (a sign test); the extremes where there are too few samples: 5 have 94 %.
    """
    ordered, n = sorted(samples), len(samples)
    outside, k = 0.0, 0
    while k < (n - 1) // 2:
        outside += 2 * math.comb(n, k) / 2**n
        if outside > 0.05:
            break
        k += 1
    k = max(0, k - 1)
    return ordered[k], ordered[n - 1 - k]


def fit_exponent(sizes: Sequence[float], costs: Sequence[float]) -> tuple[float, float]:
    """The slope of log cost over log size, and its standard error (NaN for two points)."""
    x, y = np.log(sizes), np.log(costs)
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    residuals = y - y.mean() - slope * x
    freedom = len(x) - 2
    error = math.sqrt(residuals @ residuals / freedom / (x @ x)) if freedom else math.nan
    return slope, error
