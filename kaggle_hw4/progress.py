"""Progress of long stages, on stderr: bars on a terminal and in a notebook, plain lines elsewhere.

`pace.set_verbosity` makes it less or more: quiet shows nothing, verbose a line for every report.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from kaggle_hw4.pace import (
    Pace,
    Speed,
    clock_time,
    in_words,
    is_quiet,
    is_verbose,
    rate_of,
    write_line,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

T = TypeVar("T")
Progress = Callable[[int, int | None], None]  # (done, total); a total of None: unknown
Bar = Callable[[str], Progress]  # the progress of the stage of that name


class Monitor(Protocol):
    """Shows how a training progresses."""

    def begin(self, name: str, done: int, total: int) -> None:
        """The run `name` starts, or resumes after `done` of its `total` steps."""

    def advance(self, step: int) -> None:
        """So many steps are done."""

    def replan(self, total: int) -> None:
        """The run will have `total` steps, which its time allows."""

    def report(self, step: int, figures: dict[str, float]) -> None:
        """Means since the last report: `loss`, `accuracy`; or `validation_accuracy` as well. A
        pretraining has `explained` in the place of the accuracy.
        """

    def note(self, text: str) -> None:
        """Something that whoever trains the run should know."""

    def bar(self, name: str) -> Progress:
        """The progress of a part of the run that has no steps: a prediction."""

    def end(self, accuracy: float, seconds: float) -> None:
        """The run is finished: its validation accuracy, and the time it took."""


def no_bar(_name: str) -> Progress:
    """Show nothing."""
    return lambda *_: None


class Unseen:
    """A monitor that shows nothing: the runs are watched through their files."""

    def begin(self, name: str, done: int, total: int) -> None: ...
    def advance(self, step: int) -> None: ...
    def replan(self, total: int) -> None: ...
    def report(self, step: int, figures: dict[str, float]) -> None: ...
    def note(self, text: str) -> None: ...
    def end(self, accuracy: float, seconds: float) -> None: ...

    def bar(self, name: str) -> Progress:
        return no_bar(name)


def counted(items: Sequence[T], progress: Progress) -> Iterator[T]:
    """The items, each of which counts as done when the next one is asked for."""
    for done, item in enumerate(items):
        progress(done, len(items))
        yield item
    progress(len(items), len(items))


class Lines:
    """Plain lines: the start, the steps at a pace that a log can take, validations, the end."""

    def __init__(self) -> None:
        self.name, self.total, self.figures = "", 0, ""
        self.begun: list[str] = []  # the names of the runs

    def bar(self, name: str) -> Progress:
        """A line every half minute, and at the end of a stage that took longer."""
        speed, pace = Speed(), Pace()

        def progress(done: int, total: int | None) -> None:
            speed.add(done)
            if total is not None and (pace.lines if done == total else pace.is_due()):
                rate = f"{speed.per_second:,.1f}/s" if speed.per_second else ""
                left = speed.left(total) if done < total else "finished"
                pace.say(name, f"{done:,} of {total:,}", rate, left)

        return progress

    def begin(self, name: str, done: int, total: int) -> None:
        self.name, self.total, self.figures = name, total, ""
        self.begun.append(name)
        self.speed, self.pace = Speed(done), Pace()
        start = f"resumes after step {done:,}" if done else "starts"
        self.pace.say(name, f"{start}, {total:,} steps in all")

    def advance(self, step: int) -> None:
        self.speed.add(step)
        if self.pace.is_due():
            self._say(step)

    def replan(self, total: int) -> None:
        self.total = total

    def report(self, step: int, figures: dict[str, float]) -> None:
        validated = f"validation_{second_figure(figures)}" in figures
        self.figures = describe(figures)
        if validated or not self.pace.reported or self.pace.is_due() or is_verbose():
            self.pace.reported = True
            self._say(step)

    def note(self, text: str) -> None:
        self.pace.say(self.name, text)

    def end(self, accuracy: float, seconds: float) -> None:
        self.pace.say(self.name, ended(accuracy, seconds))

    def _say(self, step: int) -> None:
        rate = rate_of(self.speed.per_second, "step")
        count = f"step {step:,} of {self.total:,}"
        left = self.speed.left(self.total) if step < self.total else ""
        seconds = self.speed.seconds_left(self.total)
        end = f"trained by {clock_time(seconds)}" if left and seconds is not None else ""
        self.pace.say(self.name, count, self.figures, rate, left, end)


def describe(figures: dict[str, float]) -> str:
    """The figures of a report in words."""
    name = second_figure(figures)
    text = f"loss {figures['loss']:.3f}, {name} {figures[name]:.3f}"
    if f"validation_{name}" in figures:
        text += f", validation {figures[f'validation_{name}']:.5f}"
    return text


def second_figure(figures: dict[str, float]) -> str:
    """What a training reports beside its loss: of one without labels, what it explains."""
    return "accuracy" if "accuracy" in figures else "explained"


def ended(accuracy: float, seconds: float) -> str:
    return f"finished in {in_words(seconds)}, validation {accuracy:.5f}"


class Bars:
    """Bars on a terminal or in a notebook; that of a training has its figures.

    `opening` is shown until the first of them: what is imported and read takes seconds.
    """

    def __init__(self, shown: "RichProgress", opening: str = "") -> None:
        self.shown = shown
        self.begun: list[str] = []  # the names of the runs
        self.opening = shown.add_task(opening, total=None, visible=bool(opening), figures="")
        self.name, self.loss, self.accuracy, self.validated = "", "", "", ""

    def bar(self, name: str) -> Progress:
        task = self.shown.add_task(name, total=None, visible=False, figures="")

        def progress(done: int, total: int | None) -> None:
            self._opened()
            text = "" if total is None else f"{done:,}/{total:,}"
            visible = total is not None and done != total
            self.shown.update(task, completed=done, total=total, visible=visible, figures=text)

        return progress

    def begin(self, name: str, done: int, total: int) -> None:
        for task in self.shown.task_ids:
            self.shown.remove_task(task)
        self.name, self.total, self.speed = name, total, Speed(done)
        self.begun.append(name)
        self.loss = self.accuracy = self.validated = ""
        self.task = self.shown.add_task(name, total=total, completed=done, figures="")
        self._show(done)

    def advance(self, step: int) -> None:
        self.speed.add(step)
        self._show(step)

    def replan(self, total: int) -> None:
        self.total = total
        self.shown.update(self.task, total=total)

    def report(self, step: int, figures: dict[str, float]) -> None:
        name = second_figure(figures)
        if f"validation_{name}" in figures:
            self.validated = f"val {figures[f'validation_{name}']:.3f}"
        self.loss, self.accuracy = f"loss {figures['loss']:.3f}", f"{name[:3]} {figures[name]:.3f}"
        self._show(step)
        if is_verbose():
            self._print(f"step {step:,} of {self.total:,}, {describe(figures)}")

    def end(self, accuracy: float, seconds: float) -> None:
        self.shown.update(self.task, visible=False)
        if is_verbose():
            self._print(ended(accuracy, seconds))

    def note(self, text: str) -> None:
        self._print(text)

    def _opened(self) -> None:
        if self.opening in self.shown.task_ids:
            self.shown.remove_task(self.opening)

    def _print(self, text: str) -> None:
        self.shown.console.print(f"{self.name}: {text}", markup=False, highlight=False)

    def _show(self, step: int) -> None:
        rate = rate_of(self.speed.per_second, "step")
        parts = [f"{step:,}/{self.total:,}", self.validated, rate, self.loss, self.accuracy]
        room = self.shown.console.width - len(self.name) - 18  # the bar and the time left
        self.shown.update(self.task, completed=step, figures=fit(parts, room))


def fit(parts: list[str], width: int) -> str:
    """As many of the parts as `width` columns hold, the first of them in any case."""
    text = parts[0]
    for part in filter(None, parts[1:]):
        if len(text) + 1 + len(part) <= width:
            text = f"{text} {part}"
    return text


@contextmanager
def waiting() -> Iterator[Callable[[str], None]]:
    """Yield `status(text)`, which shows what is being waited for."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    spinner = console.status("")

    def status(text: str) -> None:
        if _visible(console):
            spinner.update(Text(text))  # a text of Kaggle's is no markup
            spinner.start()
        elif text != shown[-1]:
            shown.append(text)
            write_line(text)

    shown = [""]
    try:
        yield status
    finally:
        spinner.stop()


@contextmanager
def live(opening: str = "") -> Iterator[Lines | Bars]:
    """Yield the monitor of a training; `opening` is on the terminal until there is more to show."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not _visible(console):
        yield Lines()
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=8),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    ) as shown:
        yield Bars(shown, opening)


@contextmanager
def bars(opening: str = "") -> Iterator[Bar]:
    """Yield `bar(name)`, which makes the `progress(done, total)` of a long stage."""
    with live(opening) as monitor:
        yield monitor.bar


def _visible(console: "Console") -> bool:
    return (console.is_terminal or console.is_jupyter) and not is_quiet()
