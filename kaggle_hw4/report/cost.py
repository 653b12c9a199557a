"""What every run has cost: time, steps, memory and disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.report.groups import Group, logged
from kaggle_hw4.run_manifest import Device
from kaggle_hw4.runs import Run
from kaggle_hw4.stages.train import FinishedRun


@dataclass(frozen=True)
class RunCost:
    """A finished run; `bytes` are those of all its files."""

    run: str
    owner: str  # the study that it is of; else empty
    device: Device
    memory: int  # bytes at the most
    parameters: int
    steps: int
    seconds: float
    bytes: int
    accuracy: float

    @property
    def rate(self) -> float | None:
        """Training steps in a second, validations included."""
        return self.steps / self.seconds if self.seconds else None


@dataclass(frozen=True)
class Unfinished:
    run: str
    step: int
    steps: int | None  # of its recipe
    seconds: float


@dataclass(frozen=True)
class GroupCost:
    group: str
    owner: str
    variant: str
    runs: int
    seconds: float  # of all its runs
    per_run: float
    accuracy: float
    bytes: int


@dataclass(frozen=True)
class CostReport:
    runs: tuple[RunCost, ...]
    groups: tuple[GroupCost, ...]
    unfinished: tuple[Unfinished, ...]


def describe_cost(groups: Mapping[str, Sequence[Group]], unfinished: Sequence[Run]) -> CostReport:
    """The cost of the groups of each owner: a study's name, or "" for one's own."""
    owned = [(owner, group) for owner, each in groups.items() for group in each]
    costs = [tuple(_cost(run, owner) for run in group.runs) for owner, group in owned]
    totals = (_total(*each, runs) for each, runs in zip(owned, costs, strict=True))
    return CostReport(
        runs=tuple(run for runs in costs for run in runs),
        groups=tuple(totals),
        unfinished=tuple(_unfinished(run) for run in unfinished),
    )


def _cost(each: FinishedRun, owner: str) -> RunCost:
    run, manifest = each.run, each.manifest
    return RunCost(
        run=run.name,
        owner=owner,
        device=manifest.training,
        memory=manifest.memory,
        parameters=manifest.parameters,
        steps=manifest.steps,
        seconds=manifest.seconds,
        bytes=sum(path.stat().st_size for path in run.folder.iterdir() if path.is_file()),
        accuracy=manifest.validation.accuracy,
    )


def _total(owner: str, group: Group, runs: Sequence[RunCost]) -> GroupCost:
    seconds = sum(run.seconds for run in runs)
    return GroupCost(
        group=group.name,
        owner=owner,
        variant=group.variant,
        runs=len(runs),
        seconds=seconds,
        per_run=seconds / len(runs),
        accuracy=group.accuracy,
        bytes=sum(run.bytes for run in runs),
    )


def _unfinished(run: Run) -> Unfinished:
    *_, last = [{"step": 0.0, "seconds": 0.0}, *logged(run)]
    try:
        steps = int(last.get("steps", run.recipe().schedule.steps))  # another, with a time limit
    except (Hw4Error, OSError):
        steps = None
    return Unfinished(run.name, int(last["step"]), steps, last.get("seconds", 0.0))
