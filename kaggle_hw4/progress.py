"""Progress of long stages, on stderr and only where that is a terminal or a notebook."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


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

    try:
        yield status
    finally:
        spinner.stop()


@contextmanager
def bars() -> Iterator[Callable[[str], Callable[[int, int | None], None]]]:
    """Yield `bar(name)`, which makes the `progress(done, total)` of a long stage."""
    with _progress("{task.completed:,.0f}/{task.total:,.0f}") as shown:

        def bar(name: str) -> Callable[[int, int | None], None]:
            task = shown.add_task(name, total=None, visible=False)

            def progress(done: int, total: int | None) -> None:
                shown.update(
                    task, completed=done, total=total, visible=total is not None and done != total
                )

            return progress

        yield bar


class LiveMonitor:
    """A bar for the run that trains: step, loss, accuracy, validation, rate and time left."""

    def __init__(self, shown: "Progress") -> None:
        self.shown = shown
        self.validated = ""

    def begin(self, name: str, done: int, total: int) -> None:
        for task in self.shown.task_ids:
            self.shown.remove_task(task)
        self.task = self.shown.add_task(name, total=total, completed=done, figures="")
        self.shown.start_task(self.task)
        self.validated = ""

    def report(self, step: int, figures: dict[str, float]) -> None:
        if "validation_accuracy" in figures:
            self.validated = f" val {figures['validation_accuracy']:.3f}"
        text = f"loss {figures['loss']:.3f} acc {figures['accuracy']:.3f}{self.validated}"
        speed = self.shown.tasks[-1].speed or 0.0
        self.shown.update(self.task, completed=step, figures=f"{text} {speed:.1f}/s")


@contextmanager
def live() -> Iterator[LiveMonitor]:
    with _progress("{task.percentage:.0f}% {task.fields[figures]}") as shown:
        yield LiveMonitor(shown)


def _visible(console: "Console") -> bool:
    return console.is_terminal or console.is_jupyter


@contextmanager
def _progress(figures: str) -> Iterator["Progress"]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=8),
        TextColumn(figures, markup=False),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not _visible(console),
    ) as shown:
        yield shown
