"""What a command prints: data on stdout, hints and errors on stderr; as text or as JSON."""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from kaggle_hw4.cli.hints import in_same_workspace
from kaggle_hw4.cli.layout import INVISIBLE, Prose, table, visible, wrap, wrap_command
from kaggle_hw4.errors import DataError
from kaggle_hw4.pace import is_quiet

__all__ = ["complain", "page", "percent", "plain", "points", "say", "show", "table", "visible"]
SHOWN = 50  # problems of a dataset that are listed
FILE_WIDTH = 1_000_000  # columns: no line of a file is wrapped


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

        text = json.dumps(plain(value), indent=1, ensure_ascii=False)
        # JSON has its own escapes for what a terminal would act on.
        _write(INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")
        return
    # A file has no width of its own; what goes there is as wide as it needs.
    _write(as_text(render(), screen_width(sys.stdout)))
    if then and not is_quiet():
        _say(wrap_command(visible(f"next: {in_same_workspace(then)}"), screen_width(sys.stderr)))


def as_text(renderable: Any, width: int | None) -> str:
    """What is printed of a text, a table or a page, on a screen of `width` columns or in a file."""
    from rich.console import Console

    screen, terminal = Screen(), width is not None
    console = Console(
        file=screen,
        force_terminal=terminal,
        force_jupyter=False,
        highlight=False,
        markup=False,
        emoji=False,
        width=width if terminal else FILE_WIDTH,
        height=25,
    )
    console.print(page(renderable), crop=False)
    return screen.getvalue()


class Screen(StringIO):
    """Text for stdout, in the characters that stdout has."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.stdout.encoding or "utf-8"


def screen_width(stream: Any) -> int | None:
    """The columns of the terminal that `stream` is; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def say(text: str) -> None:
    """One line on stderr; where nothing can be written, nothing is said."""
    _say(wrap(visible(text), screen_width(sys.stderr)))


def _say(lines: Sequence[str]) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write("\n".join(lines) + "\n")


def complain(text: str, problems: Sequence[str] = ()) -> None:
    say(f"hw4: {text}")
    for problem in problems[:SHOWN]:
        say(f"  {problem}")
    if len(problems) > SHOWN:
        say(f"  … and {len(problems) - SHOWN} more")


def page(*parts: Any) -> Any:
    """Tables and lines of prose, one below the other; each text is one line."""
    from rich.console import Group

    return Group(*(Prose(part) if isinstance(part, str) else part for part in parts))


def _write(text: str) -> None:
    """Write to stdout now: an error of the disk has to be known before the exit code."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # hw4 … | head
        raise
    except OSError as error:
        raise DataError(f"the output cannot be written ({error.strerror})") from error


def percent(accuracy: float | None) -> str:
    """An accuracy as the board prints it."""
    return "" if accuracy is None else f"{accuracy:.5f}"


def points(difference: float) -> str:
    """A difference of two accuracies in points of a hundred, with its sign."""
    return f"{100 * difference:+.2f}"
