"""What a command prints: data on stdout, hints and errors on stderr; as text or as JSON."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

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
        import json

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

    grid = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column.endswith(">")
        justify: Literal["left", "right"] = "right" if right else "left"
        grid.add_column(column.rstrip(">"), justify=justify, no_wrap=True, overflow="fold")
    for row in rows:
        grid.add_row(*("" if cell is None else str(cell) for cell in row))
    return grid


def percent(accuracy: float | None) -> str:
    """An accuracy as the board prints it."""
    return "" if accuracy is None else f"{accuracy:.5f}"


def points(difference: float) -> str:
    """A difference of two accuracies in points of a hundred, with its sign."""
    return f"{100 * difference:+.2f}"
