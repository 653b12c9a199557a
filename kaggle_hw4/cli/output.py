"""What a person sees: data on stdout, progress and hints on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.progress import Progress

SHOWN = 50  # problems of a dataset that are listed


def plain(value: Any) -> Any:
    """`value` as JSON has it: dataclasses and models become objects, their fields in order."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "model_dump"):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields} | {
            name: plain(extra) for name, extra in (value.model_extra or {}).items()
        }
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return value.tolist()
    return str(value) if isinstance(value, Path) else value


def show(value: Any, as_json: bool, render: Callable[[], Any], then: str = "") -> None:
    """Print `value` as JSON, or what `render` returns (a text, a table) and the next command."""
    if as_json:
        sys.stdout.write(json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n")
        return
    from rich.console import Console

    # A file has no width of its own; what goes there may be as wide as it needs.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(render(), soft_wrap=True)
    if then:
        say(f"next: {then}")


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def complain(text: str, problems: Sequence[str] = ()) -> None:
    say(f"hw4: {text}")
    for problem in problems[:SHOWN]:
        say(f"  {problem}")
    if len(problems) > SHOWN:
        say(f"  … and {len(problems) - SHOWN} more")


def table(columns: Iterable[str], rows: Iterable[Sequence[object]], title: str = "") -> Any:
    """A rich table; a column whose name ends in `>` is aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column.endswith(">")
        justify: Literal["left", "right"] = "right" if right else "left"
        made.add_column(column.rstrip(">"), justify=justify, no_wrap=True, overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return made


def percent(accuracy: float | None) -> str:
    """An accuracy as the board prints it."""
    return "" if accuracy is None else f"{accuracy:.5f}"


def points(difference: float) -> str:
    """A difference of two accuracies in points of a hundred, with its sign."""
    return f"{100 * difference:+.2f}"


@contextmanager
def waiting() -> Iterator[Callable[[str], None]]:
    """Yield `tell(text)`, which shows on a terminal what is being waited for."""
    from rich.console import Console

    console = Console(stderr=True)
    status = console.status("")

    def tell(text: str) -> None:
        if console.is_terminal:
            status.update(text)
            status.start()

    try:
        yield tell
    finally:
        status.stop()


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


@contextmanager
def _progress(figures: str) -> Iterator["Progress"]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=8),
        TextColumn(figures),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as shown:
        yield shown
