"""What a run learns from beside its labelled rows: found before it is trained."""

from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.run_manifest import LearnedFrom, PretrainedEncoders


@dataclass(frozen=True)
class Pretrained:
    """The file of a pretraining's encoders, and what a manifest says of it."""

    path: Path
    record: PretrainedEncoders


@dataclass(frozen=True)
class Sources:
    """All of it, as the optional sections of the recipe say."""

    encoders: Pretrained | None = None

    def record(self) -> LearnedFrom | None:
        """What the manifest says of it; None where it is nothing."""
        if self == NOTHING:
            return None
        return LearnedFrom(encoders=self.encoders.record if self.encoders else None)


NOTHING = Sources()
