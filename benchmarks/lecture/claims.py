"""What is measured of a claim: whether it holds, and the rows of its table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hits = npt.NDArray[np.bool_]  # (models, utterances): which are recognised
ERRORS = 2.0  # standard errors that a difference has to be away from 0


@dataclass(frozen=True)
class Claim:
    """A claim, as it was measured on a corpus.

    `key` names its place in docs/lecture.md, and `text` is what the notes say. `holds` is the
    answer, by a rule that `rule` states; None: it was measured, and is neither true nor false.
    """

    key: str
    text: str
    rule: str
    holds: bool | None
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    picture: str = ""  # its file's stem in docs/lecture
    caption: str = ""


@dataclass(frozen=True)
class Difference:
    """A difference in accuracy, in points, with its standard error over speakers."""

    points: float
    error: float

    @property
    def is_gain(self) -> bool:
        return self.points > ERRORS * self.error

    @property
    def is_loss(self) -> bool:
        return self.points < -ERRORS * self.error

    def __str__(self) -> str:
        return f"{self.points:+.1f} ± {self.error:.1f}"


def accuracy(hits: Hits) -> str:
    """The mean over models and the standard deviation between them, in percent."""
    each = 100 * hits.mean(1)
    spread = f" ± {each.std(ddof=1):.1f}" if len(each) > 1 else ""
    return f"{each.mean():.1f}{spread}"


def difference(first: Hits, second: Hits, speakers: npt.NDArray[np.int64]) -> Difference:
    """`first` less `second`: paired by model and utterance, the error from the speakers' means."""
    paired = (first.astype(float) - second.astype(float)).mean(0)
    means = np.array([paired[speakers == s].mean() for s in np.unique(speakers)])
    return Difference(100 * float(means.mean()), 100 * float(means.std(ddof=1) / len(means) ** 0.5))


def small(value: float) -> str:
    """A number whose size alone matters: 3e-07."""
    return "0" if value == 0 else f"{value:.0e}" if value < 1e-3 else f"{value:.2g}"


def mean_and_spread(values: Sequence[float], digits: int = 2) -> str:
    """The mean of several models' values and their standard deviation."""
    each = np.asarray(values, float)
    spread = f" ± {each.std(ddof=1):.{digits}f}" if len(each) > 1 else ""
    return f"{each.mean():.{digits}f}{spread}"
