"""The live table of runs that are trained elsewhere, or plain lines without a terminal."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaggle_hw4.cli.output import page, percent, table
from kaggle_hw4.pace import Pace, in_words, is_quiet
from kaggle_hw4.progress import Bars, Lines, Progress, Unseen, live

if TYPE_CHECKING:
    from rich.live import Live

    from kaggle_hw4.execution.executor import Job, Watch
    from kaggle_hw4.execution.placement import Placement
    from kaggle_hw4.execution.progress import RunProgress

ORDER = ("failed", "training", "queued", "waiting", "finished")  # of the rows
COLUMNS = ("run", "state", "step>", "of>", "validation>", "left>")


@contextmanager
def showing(
    placement: "Placement | None", opening: str
) -> Iterator[tuple["Lines | Bars | JobsTable", "Watch | None"]]:
    """Yield the monitor of what is trained in this process; or the table of what is not, and what
    fills it.
    """
    if placement is None:
        with live(opening) as monitor:
            yield monitor, None
        return
    shown = JobsTable(opening)
    try:
        yield shown, shown.watch
    finally:
        shown.close()


class JobsTable(Unseen):
    """Shows jobs; before the first and after the last of them, the progress of other stages."""

    def __init__(self, opening: str) -> None:
        self.stack, self.pace = ExitStack(), Pace()
        self.stages: Lines | Bars | None = self.stack.enter_context(live(opening))
        self.screen: Live | None = None
        self.begun: list[str] = []  # the names of the runs that were not finished before
        self.states: dict[int, tuple[str, int]] = {}  # and crashes, by the place of the job
        self.progress: dict[str, RunProgress] = {}

    def bar(self, name: str) -> Progress:
        """The progress of a stage that is no training."""
        if self.stages is None:
            self.close()
            self.stages = self.stack.enter_context(live())
        return self.stages.bar(name)

    def close(self) -> None:
        self.stack.close()
        self.stack, self.stages, self.screen = ExitStack(), None, None

    def watch(self, jobs: "Sequence[Job]") -> None:
        """Show where the jobs stand."""
        if self.stages is not None:
            self.close()
            self._open()
        for place, job in enumerate(jobs):
            self._note_state(place, job)
        if self.screen is not None:
            self.screen.update(self.render(jobs), refresh=True)
        elif self.pace.is_due():
            self.pace.say("runs", summary(jobs, [self._read(job) for job in jobs]))
        if all(job.outcome for job in jobs):
            self.close()

    def render(self, jobs: "Sequence[Job]") -> Any:
        """The summary and the table; the runs that are trained come first."""
        known = [self._read(job) for job in jobs]
        rows = sorted(
            (row(job, each) for job, each in zip(jobs, known, strict=True)),
            key=lambda cells: ORDER.index(cells[1]) if cells[1] in ORDER else 1,
        )
        return page(summary(jobs, known), table(COLUMNS, rows))

    def _open(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        if console.is_terminal and not is_quiet():
            screen = Live(console=console, transient=True, auto_refresh=False)
            self.screen = self.stack.enter_context(screen)

    def _read(self, job: "Job") -> "RunProgress | None":
        from kaggle_hw4.execution.progress import RunProgress

        if job.handle is None:
            return None
        progress = self.progress.setdefault(job.handle.run.name, RunProgress(job.handle.run))
        progress.read()
        return progress

    def _note_state(self, place: int, job: "Job") -> None:
        """A line where the state of a job has changed, but for one that was finished before."""
        before, state = self.states.get(place, ("waiting", 0)), (job.state, job.crashes)
        self.states[place] = state
        if state == before:
            return
        new = job.handle is not None and job.handle.state != "finished"
        if new and job.handle is not None and job.handle.run.name not in self.begun:
            self.begun.append(job.handle.run.name)
        if job.crashes > before[1]:
            self.pace.say(name_of(job), "ended early, is retried from its last checkpoint")
        elif name_of(job) in self.begun:
            self.pace.say(name_of(job), job.state, *ending(job))


def name_of(job: "Job") -> str:
    """That of its run, as far as it is known."""
    if job.handle is not None:
        return job.handle.run.name
    return f"{Path(job.spec.variant).stem}/fold{job.spec.fold}-seed{job.spec.seed}"


def ending(job: "Job") -> tuple[str, ...]:
    """Its validation accuracy, or why it failed and where its log is."""
    if job.outcome is None:
        return ()
    if job.outcome.manifest is None:
        return (str(job.outcome.error),)
    return (f"validation {job.outcome.manifest.validation.accuracy:.5f}",)


def row(job: "Job", progress: "RunProgress | None") -> tuple[str, ...]:
    """The cells of a job."""
    name, state = name_of(job), job.state
    if job.outcome is not None and job.outcome.manifest is not None:
        manifest = job.outcome.manifest
        steps = f"{manifest.steps:,}"
        return (name, state, steps, steps, percent(manifest.validation.accuracy), "")
    if progress is None:
        return (name, state, "", "", "", "")
    left = progress.seconds_left() if state == "training" else None
    return (
        name,
        state,
        f"{progress.step:,}",
        f"{progress.steps:,}" if progress.steps else "",
        percent(progress.validation),
        "" if left is None else in_words(left),
    )


def summary(jobs: "Sequence[Job]", known: "Sequence[RunProgress | None]") -> str:
    """How many runs are in which state, and when the last will be finished at the speed so far."""
    states = [job.state for job in jobs]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys((*ORDER, *states))]
    text = f"{len(jobs)} runs: " + ", ".join(c for c in counts if not c.startswith("0 "))
    seconds = time_left(jobs, known)
    return text if seconds is None else f"{text}; about {in_words(seconds)} left"


def time_left(jobs: "Sequence[Job]", known: "Sequence[RunProgress | None]") -> float | None:
    """Seconds for all that is left, shared among those that are trained now."""
    pairs = list(zip(jobs, known, strict=True))
    training = [each for job, each in pairs if each and job.state == "training"]
    left = [each.seconds_left() for each in training]
    if not training or any(seconds is None for seconds in left):
        return None
    whole = max(each.steps * each.seconds / each.step for each in training)
    waiting = sum(job.state in ("waiting", "queued") for job in jobs)
    return max(filter(None, left), default=0.0) + whole * waiting / len(training)
