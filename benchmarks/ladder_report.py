"""The ladder's results as Markdown: the table, the steps and their standard errors."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from kaggle_hw4.competition import LADDER
from kaggle_hw4.metrics import balanced_weights

PEERS = ("peers/popular_boss", "peers/aaricis", "peers/viesuki")  # peers/sample is simple
DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Hits:
    """Which utterances (n,) a run got right, and their speakers (n,), who have equal weights."""

    right: np.ndarray
    speaker: np.ndarray

    @property
    def accuracy(self) -> float:
        return float(np.average(self.right, weights=balanced_weights(self.speaker)))


@dataclass(frozen=True)
class Result:
    """One recipe's runs: what each got right in the three sets."""

    name: str
    parameters: int
    seconds: float
    steps: int
    seen_session: tuple[Hits, ...]
    session: tuple[Hits, ...]
    unseen: tuple[Hits, ...]

    def accuracies(self, kind: str) -> np.ndarray:
        return np.array([evaluated.accuracy for evaluated in getattr(self, kind)])

    def mean(self, kind: str) -> float:
        return float(self.accuracies(kind).mean())


def table(results: Sequence[Result]) -> str:
    lines = [
        "| recipe | parameters | steps | seconds | seen-session | session | unseen | "
        "session minus unseen | seen-session minus unseen |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        spreads = [r.accuracies(kind) for kind in ("seen_session", "session", "unseen")]
        cells = [f"{v.mean():.3f} ± {v.std(ddof=1):.3f}" for v in spreads]
        gap, error = 100 * (r.mean("session") - r.mean("unseen")), 100 * gap_error(r)
        cells += [
            f"{gap:+.1f} ± {error:.1f}",
            f"{100 * (r.mean('seen_session') - r.mean('unseen')):+.1f}",
        ]
        seconds = "–" if math.isnan(r.seconds) else f"{r.seconds:.0f}"
        row = (r.name, f"{r.parameters:,}", f"{r.steps:,}", seconds, *cells)
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def summary(results: Sequence[Result]) -> str:
    """The steps of the ladder with their standard errors, error ratios, rank correlations."""
    named = {r.name: r for r in results}
    lines = []
    for below, above in itertools.pairwise(LADDER):
        gain, error = step(named[above], named[below])
        lines.append(
            f"- {below} → {above}: {100 * gain:+.1f} points, standard error {100 * error:.1f} "
            f"({gain / error:.1f} standard errors)"
        )
    if peers := [named[p] for p in PEERS if p in named]:
        best = max(peers, key=lambda r: r.mean("unseen"))
        lines += [over(r, best) for r in results if r.name.startswith(("boss", "champion"))]
    whole = recipes_of(results)
    for kind in ("session", "seen_session"):
        rho = spearmanr([r.mean(kind) for r in whole], [r.mean("unseen") for r in whole])
        lines.append(
            f"- Spearman({kind.replace('_', '-')}, unseen) over the {len(whole)} recipes: "
            f"{rho.statistic:.2f}"
        )
    return "\n".join(lines)


def recipes_of(results: Sequence[Result]) -> list[Result]:
    """The rows of whole recipes, without their ablations."""
    return [r for r in results if "," not in r.name]


def over(ours: Result, peer: Result) -> str:
    ratio = (1 - ours.mean("unseen")) / (1 - peer.mean("unseen"))
    return (
        f"- Error rate of {ours.name}, divided by that of the best peer ({peer.name}): {ratio:.2f}"
    )


def step(above: Result, below: Result) -> tuple[float, float]:
    """The step between two recipes on the unseen sessions, and its standard error: seeds and
    speakers resampled together.
    """
    gains = [
        Hits(a.right.astype(float) - b.right, a.speaker)
        for a, b in zip(above.unseen, below.unseen, strict=True)
    ]
    return float(np.mean([g.accuracy for g in gains])), float(np.std(redrawn(gains, seed=0)))


def gap_error(result: Result) -> float:
    """The standard error of session validation minus the accuracy on unseen sessions.

    The two sets have no utterance in common: they are resampled independently.
    """
    session, unseen = redrawn(result.session, seed=0), redrawn(result.unseen, seed=1)
    return float(np.std(session - unseen))


def redrawn(seeds: Sequence[Hits], seed: int) -> np.ndarray:
    """The means (DRAWS,) over runs, with seeds and speakers resampled together."""
    random = np.random.default_rng(seed)
    speakers = np.unique(np.concatenate([evaluated.speaker for evaluated in seeds]))
    sums, counts = (np.zeros((len(seeds), len(speakers))) for _ in range(2))
    for i, evaluated in enumerate(seeds):
        place, weights = (
            np.searchsorted(speakers, evaluated.speaker),
            balanced_weights(evaluated.speaker),
        )
        np.add.at(sums[i], place, weights * evaluated.right)
        np.add.at(counts[i], place, weights)
    draws = []
    for _ in range(DRAWS):
        who = random.integers(0, len(speakers), len(speakers))
        which = random.integers(0, len(seeds), len(seeds))
        draws.append(sums[which][:, who].sum() / counts[which][:, who].sum())
    return np.array(draws)
