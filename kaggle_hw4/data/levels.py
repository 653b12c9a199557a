"""Levels of a corpus: extremes and moments of all its features, collected while it is packed."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from kaggle_hw4.competition import LOG_FLOOR

if TYPE_CHECKING:
    import torch


class Levels(BaseModel):
    """Levels of all features, in nat, before they are rounded to the stored dtype."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: float
    max: float
    mean: float
    deviation: float
    touching_the_floor: float  # share of the utterances


class Moments:
    """Running extremes and moments of the features."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0
        self.low, self.high = float("inf"), float("-inf")
        self.utterances, self.floored = 0, 0

    def add(self, features: "torch.Tensor") -> None:
        """Count the features (T, n_mels) of one utterance."""
        low, high = (float(v) for v in features.aminmax())
        self.count += features.numel()
        exact = features.double()
        self.total += float(exact.sum())
        self.squares += float(exact.square().sum())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.utterances += 1
        self.floored += low <= LOG_FLOOR + 0.5

    def levels(self) -> Levels:
        """The levels of all utterances added, at least one."""
        mean = self.total / self.count
        return Levels(
            min=self.low,
            max=self.high,
            mean=mean,
            deviation=max(self.squares / self.count - mean**2, 0.0) ** 0.5,
            touching_the_floor=self.floored / self.utterances,
        )
