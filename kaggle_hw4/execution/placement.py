"""Where runs are trained: in processes of this machine, or on a cluster."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaggle_hw4.errors import UsageError

if TYPE_CHECKING:
    from kaggle_hw4.execution.executor import Executor
    from kaggle_hw4.execution.local import Subprocesses

LOCAL, SLURM, RAY = "local", "slurm", "ray"
PLACES = (LOCAL, SLURM, RAY)
TRIALS = 4  # of a study at a time on a cluster: more would be a random search


@dataclass(frozen=True)
class Placement:
    """`jobs` runs at a time (None: as many as there are devices) on `local`, `slurm` or `ray`.

    `options` are KEY=VALUE of sbatch, `address` is that of a Ray cluster. `threads` are those of a
    run; None: its share of the processors, on Ray one.
    """

    on: str = LOCAL
    jobs: int | None = None
    options: tuple[str, ...] = ()
    address: str = ""
    threads: int | None = None

    def trials_of(self, executor: "Executor") -> int:
        """How many trials of a study are trained at a time: a cluster's devices are not the limit,
        unless a number of jobs is given.
        """
        free = self.on != LOCAL and self.jobs is None
        return min(executor.jobs, TRIALS) if free else executor.jobs

    def check_speed(self, parameter: str) -> None:
        """UsageError where a training is not as fast as it is measured here; `parameter` is what
        asks for that.
        """
        if self.on != LOCAL:
            what = f"how fast a training on {self.on} is cannot be measured on this machine"
            raise UsageError(what, "leave it out there", parameter)

    @contextmanager
    def executor(self, workspace: str) -> Iterator["Executor"]:
        """Yield what trains the runs of the workspace there."""
        if self.on == SLURM:
            from kaggle_hw4.execution.slurm import Slurm

            yield Slurm(workspace, self.jobs, self.options, self.threads)
        elif self.on == RAY:
            from kaggle_hw4.execution.ray import RayCluster

            cluster = RayCluster(self.jobs, self.address)
            try:
                yield cluster
            finally:
                cluster.close()
        else:
            yield local_executor(self.jobs, self.threads)


HERE = Placement(jobs=1)  # this machine, one run after the other


def find_placement(
    on: str | None, jobs: int | None = None, options: Sequence[str] | None = None
) -> Placement | None:
    """Where `on` says; None is this process. A number of jobs alone is for this machine."""
    if on is None:
        on = LOCAL if jobs is not None else None
    if options and on != SLURM:
        raise UsageError("options of sbatch are for jobs of Slurm", "train on slurm", "slurm")
    if on is None:
        return None
    name, scheme, address = on.partition("://")
    if name not in PLACES or (scheme and name != RAY):
        what = f"{on!r}: runs are trained on {', '.join(PLACES)} or {RAY}://ADDRESS"
        raise UsageError(what, parameter="on")
    return Placement(name, jobs, tuple(options or ()), address)


def local_executor(jobs: int | None, threads: int | None = None) -> "Subprocesses":
    """A process a run: by default one for each CUDA device, else one for each processor."""
    from kaggle_hw4.execution.local import Subprocesses, cuda_cards, share_of_threads

    cards = cuda_cards()
    return Subprocesses(jobs or len(cards) or share_of_threads(1), threads, cards)
