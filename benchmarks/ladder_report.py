"""The ladder's results as Markdown: the table, the steps and their standard errors."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from kaggle_hw4.competition import LADDER
from kaggle_hw4.metrics import balanced_weights

PEERS = ("peers/popular_boss", "peers/aaricis", "peers/viesuki")  # peers/sample is simple
DRAWS = 2000  # of the bootstrap


INTRODUCTION = """# The ladder, measured

Written by `make ladder`. None of these figures is a Kaggle score. Every recipe is shrunk by one
rule (a quarter of the width, half of the layers and of long kernels, batches of 32;
`shrunk` in benchmarks/ladder.py) so that a CPU core trains it in minutes. Three seeds; seed *i*
holds out session fold *i* of 6. All accuracies are balanced (every speaker has the same weight),
and are given as mean ± standard deviation over the seeds.

- *seen-session*: accuracy on a tenth of the utterances of the sessions trained on, held out from
  the training. This is what a random split estimates.
- *session*: accuracy on whole guessed sessions that are held out. Utterances that are too near to
  them are left out of the training as well.
- *unseen*: accuracy on the test set, whose sessions are all unseen; scored by truth.csv after all
  the training was finished.
- *spread*: after transductive label spreading over the set that is predicted, which uses no label;
  the peers have it, too. The other columns: each utterance alone.
- *everything*: with second-order statistics, self-training and label spreading
  (docs/sessions.md). That is how champion is predicted; it was lent to all others. Statistics are
  part of champion in the other columns, too. For the test set they know all labelled utterances,
  for a validation those of the other folds.
- Standard errors are those of a bootstrap: seeds and speakers resampled together, 2,000 times.
- Networks: one, and as many as `--time-limit` would choose.
- `peers/sample` is the same recipe as `simple`. Seconds are those of one core, reckoned from
  measured steps and predictions: the same steps may have been trained on a card.
"""


@dataclass(frozen=True)
class Hits:
    """Which utterances (n,) a run got right, and their speakers (n,), who have equal weights."""

    right: np.ndarray
    speaker: np.ndarray

    @property
    def accuracy(self) -> float:
        return float(np.average(self.right, weights=balanced_weights(self.speaker)))


@dataclass(frozen=True)
class Sets:
    """What the runs of a recipe got right in each of the three sets, a run each."""

    seen_session: tuple[Hits, ...]
    session: tuple[Hits, ...]
    unseen: tuple[Hits, ...]

    @classmethod
    def of(cls, runs: Sequence[tuple[Hits, Hits, Hits]]) -> "Sets":
        return cls(*zip(*runs, strict=True))

    def mean(self, kind: str) -> float:
        return float(np.mean(accuracies(getattr(self, kind))))


@dataclass(frozen=True)
class Result:
    """One recipe's runs, predicted alone, with label spreading, and with everything there is."""

    name: str
    networks: int
    parameters: int
    seconds: float
    steps: int
    alone: Sets
    spread: Sets
    everything: Sets

    @property
    def label(self) -> str:
        return f"{self.name}, {self.networks} networks" if self.networks > 1 else self.name


def accuracies(runs: Sequence[Hits]) -> list[float]:
    return [run.accuracy for run in runs]


def section(title: str, results: Sequence[Result]) -> list[str]:
    """A budget's heading, table and summary."""
    return [f"### {title}\n", table(results), "", summary(results), ""]


def table(results: Sequence[Result]) -> str:
    lines = [
        "| recipe | networks | parameters | steps | seconds | seen-session | session | unseen | "
        "session, spread | unseen, spread | session minus unseen, spread | "
        "session, everything | unseen, everything | session minus unseen, everything |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        alone = (r.alone.seen_session, r.alone.session, r.alone.unseen)
        cells = [with_spread(runs) for runs in alone]
        for sets in (r.spread, r.everything):
            cells += [with_spread(sets.session), with_spread(sets.unseen)]
            gap = sets.mean("session") - sets.mean("unseen")
            cells.append(f"{100 * gap:+.1f} ± {100 * gap_error(sets):.1f}")
        sizes = (f"{r.parameters:,}", f"{r.steps:,}", f"{r.seconds:.0f}")
        lines.append(f"| {' | '.join((r.name, str(r.networks), *sizes, *cells))} |")
    return "\n".join(lines)


def with_spread(runs: Sequence[Hits]) -> str:
    """The mean accuracy ± its standard deviation over the runs."""
    values = accuracies(runs)
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def summary(results: Sequence[Result]) -> str:
    """The rungs' steps with their standard errors, errors over the best peer's, rank correlations.

    What is chosen here, is chosen by session validation.
    """
    first: dict[str, Result] = {}
    for result in results:  # one network of each kind comes first
        first.setdefault(result.name, result)
    lines = ["In one network of each kind, each utterance alone, unseen sessions:", ""]
    for below, above in itertools.pairwise(name for name in LADDER if name in first):
        gain, error = step(first[above].alone.unseen, first[below].alone.unseen)
        lines.append(
            f"- {below} → {above}: {100 * gain:+.1f} points, standard error {100 * error:.1f} "
            f"({gain / error:.1f} standard errors)"
        )
    lines += ["", "With everything, the best peer with label spreading and with everything:", ""]
    peers = [r for r in results if r.name in PEERS]
    peer = max(peers, key=lambda r: r.spread.mean("session"))
    rungs = [r for r in results if r.name in LADDER]
    best = max(rungs, key=lambda r: r.everything.mean("session"))
    published, lent = peer.spread.mean("unseen"), peer.everything.mean("unseen")
    ratios = {r.label: r for r in (best, *(first[name] for name in LADDER[-2:] if name in first))}
    for label, result in ratios.items():
        errors = 1 - result.everything.mean("unseen")
        ratio, fair = (errors / (1 - accuracy) for accuracy in (published, lent))
        lines.append(
            f"- Errors of {label}, divided by those of the best peer ({peer.label}): {ratio:.2f}; "
            f"by those it makes with everything: {fair:.2f}"
        )
    for result in results:
        if result is not first[result.name]:
            one = first[result.name].everything.unseen
            gain, error = step(result.everything.unseen, one)
            figures = f"{100 * gain:+.1f} points, standard error {100 * error:.1f}"
            lines.append(f"- {result.label}, over one network of each kind: {figures}")
    for kind in ("session", "seen_session"):
        pairs = [(r.alone.mean(kind), r.alone.mean("unseen")) for r in first.values()]
        rho = spearmanr(*zip(*pairs, strict=True)).statistic
        name = kind.replace("_", "-")
        lines.append(f"- Spearman({name}, unseen) over the {len(pairs)} recipes: {rho:.2f}")
    return "\n".join(lines)


def step(above: Sequence[Hits], below: Sequence[Hits]) -> tuple[float, float]:
    """The step between two recipes, and its standard error: seeds and speakers resampled
    together.
    """
    gained = gains(above, below)
    return float(np.mean(accuracies(gained))), float(np.std(redrawn(gained, seed=0)))


def gains(above: Sequence[Hits], below: Sequence[Hits]) -> list[Hits]:
    """What each utterance is worth to the first rather than to the second: 1, 0 or -1; by run."""
    return [
        Hits(a.right.astype(float) - b.right, a.speaker) for a, b in zip(above, below, strict=True)
    ]


def gap_error(sets: Sets) -> float:
    """The standard error of session validation minus the accuracy on unseen sessions.

    The two sets have no utterance in common: they are resampled independently.
    """
    session, unseen = redrawn(sets.session, seed=0), redrawn(sets.unseen, seed=1)
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
