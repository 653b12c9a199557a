"""What every run has cost: time, steps and disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.report.groups import Group, logged
from kaggle_hw4.runs import Run
from kaggle_hw4.stages.train import FinishedRun


@dataclass(frozen=True)
class RunCost:
    """A finished run; `bytes` are those of all its files."""

    run: str
    group: str
    device: str
    precision: str
    threads: int
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


def describe_cost(groups: Sequence[Group], unfinished: Sequence[Run]) -> CostReport:
    runs = tuple(_cost(each) for group in groups for each in group.runs)
    return CostReport(
        runs,
        tuple(_total(group, [run for run in runs if run.group == group.name]) for group in groups),
        tuple(_unfinished(run) for run in unfinished),
    )


def _cost(each: FinishedRun) -> RunCost:
    run, manifest = each.run, each.manifest
    return RunCost(
        run=run.name,
        group=run.folder.parent.name,
        device=manifest.training.device,
        precision=manifest.training.precision,
        threads=manifest.training.threads,
        parameters=manifest.parameters,
        steps=manifest.steps,
        seconds=manifest.seconds,
        bytes=sum(path.stat().st_size for path in run.folder.iterdir() if path.is_file()),
        accuracy=manifest.validation.accuracy,
    )


def _total(group: Group, runs: Sequence[RunCost]) -> GroupCost:
    seconds = sum(run.seconds for run in runs)
    return GroupCost(
        group=group.name,
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
        steps = run.recipe().schedule.steps
    except (Hw4Error, OSError):
        steps = None
    return Unfinished(run.name, int(last["step"]), steps, last.get("seconds", 0.0))
