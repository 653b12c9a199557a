"""The zoo's results as Markdown: each member alone, and what it brings to an ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ladder_report import Hits, accuracies, gains, redrawn, with_spread

BASE = ("strong", "boss")  # the ensemble that a member is to improve
KINDS = ("seen_session", "session", "unseen")

INTRODUCTION = """# The zoo, measured

Written by `make zoo`. None of these figures is a Kaggle score. Every recipe of
pipelines/variants/zoo is medium.toml with another network; all are shrunk by the ladder's rule
(`shrunk` in benchmarks/ladder.py) to one network that a CPU core trains in minutes. Three seeds;
seed *i* holds out session fold *i* of 6. Accuracies are balanced (every speaker has the same
weight), of each utterance alone, without label spreading; mean ± standard deviation over the seeds.

- *seen-session*, *session*, *unseen*: as in [ladder.md](ladder.md).
- *linear probe*: a logistic regression on the mean and the standard deviation of every mel band.
- *differs from Boss*: the share of unseen utterances that the two label differently.
- *gain*: the balanced accuracy of strong + boss + member minus that of strong + boss, in points; in
  brackets the 95 % interval of a bootstrap, paired, seeds and speakers resampled together.
- An ensemble is the mean of log-probabilities, each member's calibrated by a temperature on its own
  session validation, as in `hw4 ensemble`.
- Seconds are those of one core, reckoned from measured steps, validation and predictions.
"""

Labelled = tuple[np.ndarray, np.ndarray]  # log-probabilities (n, C), true labels (n,)


@dataclass(frozen=True)
class Predicted:
    """What one run predicts for the three sets of utterances."""

    seen_session: Labelled
    session: Labelled
    unseen: Labelled


@dataclass(frozen=True, eq=False)
class Member:
    """A recipe's runs, one of each seed."""

    name: str
    runs: tuple[Predicted, ...]
    parameters: int | None
    seconds: float | None
    steps: int | None

    @classmethod
    def of(
        cls,
        name: str,
        runs: Sequence[Predicted],
        parameters: int | None = None,
        seconds: float | None = None,
        steps: int | None = None,
    ) -> "Member":
        return cls(name, tuple(runs), parameters, seconds, steps)


def hits(members: Sequence[Member], kind: str) -> list[Hits]:
    """What the mean of the members gets right in a set of utterances, by seed."""
    results = []
    for runs in zip(*(member.runs for member in members), strict=True):
        values, (labels, *_) = zip(*(getattr(run, kind) for run in runs), strict=True)
        results.append(Hits(np.mean(values, axis=0).argmax(1) == labels, labels))
    return results


def mean(members: Sequence[Member], kind: str) -> float:
    return float(np.mean(accuracies(hits(members, kind))))


def choose(members: Sequence[Member]) -> list[Member]:
    """The ensemble that greedy selection by session validation ends with: each member once, as
    long as the next best one raises its accuracy.
    """
    chosen: list[Member] = []
    while left := [member for member in members if member not in chosen]:
        best = max(left, key=lambda member: mean([*chosen, member], "session"))
        if chosen and mean([*chosen, best], "session") <= mean(chosen, "session"):
            break
        chosen.append(best)
    return chosen


def gain(above: Sequence[Member], below: Sequence[Member], kind: str) -> str:
    """How much more the first ensemble gets right, in points, with its 95 % interval."""
    paired = gains(hits(above, kind), hits(below, kind))
    low, high = np.percentile(redrawn(paired, seed=0), [2.5, 97.5])
    return f"{100 * np.mean(accuracies(paired)):+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def disagreement(member: Member, other: Member) -> float:
    """The share of unseen utterances that the two label differently, the mean over seeds."""
    pairs = zip(member.runs, other.runs, strict=True)
    return float(
        np.mean([(a.unseen[0].argmax(1) != b.unseen[0].argmax(1)).mean() for a, b in pairs])
    )


def section(title: str, members: Sequence[Member]) -> list[str]:
    """A budget's heading, table and best ensemble."""
    return [f"### {title}\n", table(members), "", best_ensemble(members), ""]


def base_of(members: Sequence[Member]) -> list[Member]:
    return [member for member in members if member.name in BASE]


def table(members: Sequence[Member]) -> str:
    lines = [
        "| recipe | parameters | steps | seconds | seen-session | session | unseen | differs from "
        "Boss | gain, session | gain, unseen |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    base = base_of(members)
    boss = next(member for member in base if member.name == "boss")
    for member in members:
        sizes = [member.parameters, member.steps, member.seconds]
        cells = [member.name, *("" if size is None else f"{size:,.0f}" for size in sizes)]
        cells += [with_spread(hits([member], kind)) for kind in KINDS]
        cells += ["" if member is boss else f"{disagreement(member, boss):.2f}"]
        together = [*base, member]
        cells += [
            "" if member in base else gain(together, base, kind) for kind in ("session", "unseen")
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def best_ensemble(members: Sequence[Member]) -> str:
    """Strong + Boss, and the ensemble that session validation chooses."""
    base, chosen = base_of(members), choose(members)
    lines = []
    for name, ensemble in (("strong + boss", base), (" + ".join(m.name for m in chosen), chosen)):
        figures = [f"{kind.replace('_', '-')} {mean(ensemble, kind):.3f}" for kind in KINDS[1:]]
        lines.append(f"- {name}: {', '.join(figures)}")
    lines.append(
        "- The second, chosen by session validation, over the first: "
        f"{gain(chosen, base, 'session')} points on session validation, by which it was chosen; "
        f"**{gain(chosen, base, 'unseen')} points on unseen sessions**"
    )
    return "\n".join(lines)
