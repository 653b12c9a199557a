"""RunSpec: a run to be trained, in plain values that any process or machine can be given."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Self


@dataclass(frozen=True)
class RunSpec:
    """One variant on one fold from one seed.

    `variant` is a name or the path of a recipe file, `settings` are `section.key=value` laid over
    it. `split` is the name of a fold table; None is the only one there is. `runs` is the folder of
    runs that its own goes to; None is the workspace's.
    """

    workspace: str
    variant: str
    settings: tuple[str, ...] = ()
    split: str | None = None
    fold: int = 0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    runs: str | None = None

    def over(self, folds: Iterable[int], seeds: Iterable[int]) -> list[Self]:
        """The same for every fold with every seed, each once."""
        pairs = dict.fromkeys((fold, seed) for seed in seeds for fold in folds)
        return [replace(self, fold=fold, seed=seed) for fold, seed in pairs]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        return cls(**values | {"settings": tuple(values["settings"])})


@dataclass(frozen=True)
class Asked:
    """The folds and seeds of one variant that are to be trained; folds None: all."""

    spec: RunSpec
    folds: Sequence[int] | None = None
    seeds: Sequence[int] = (0,)

    def folds_of(self, count: int) -> Sequence[int]:
        """The folds, of a table that has so many."""
        return range(count) if self.folds is None else self.folds
