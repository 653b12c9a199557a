"""Text and tables in the width there is: no figure is cut, foreign text is shown as it is.

A table that is too wide loses its empty columns, then its spare space, and is at last printed row
by row; one with a name longer than the screen is a line longer than the screen.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

# What a terminal acts on instead of showing it: control characters, the marks that turn the
# direction of writing, line separators, and bytes of a path that are no UTF-8.
INVISIBLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
WIDE = 1_000_000  # columns: more than any table has
GAP = 3  # spaces between two cells of a row that is printed by itself


def visible(text: str) -> str:
    r"""Foreign text on one line, with control characters and escapes as \n, \x1b, \u202e."""
    return INVISIBLE.sub(_escape, text).replace("\n", "\\n")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return {9: "\\t", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


WORD = re.compile(r" *(?:-s )?[^ ]+")  # a setting stays with its -s


def wrap(text: str, width: int | None, hang: int = 0) -> list[str]:
    """Lines of at most `width` columns, broken between words only, indented alike; after the first
    by `hang` spaces more.

    A word that is longer than a line keeps a line of its own.
    """
    from rich.cells import cell_len

    if width is None or cell_len(text) <= width:
        return [text]
    indent = text[: len(text) - len(text.lstrip(" "))] + hang * " "
    lines = [""]
    for word in WORD.findall(text):
        if lines[-1].strip() and cell_len(lines[-1] + word) > width:
            lines.append(indent + word.lstrip(" "))
        else:
            lines[-1] += word
    return lines


def wrap_command(text: str, width: int | None) -> list[str]:
    """Lines that the shell reads as the one command that `text` ends in; one line where it has
    quotes, which a line break must not divide.
    """
    if width is None or "'" in text:
        return [text]
    *lines, last = wrap(text, width - 2, hang=4)
    return [*(f"{line} \\" for line in lines), last]


@dataclass(frozen=True)
class Prose:
    """One line of text, wrapped between words; `hang` indents what follows its first line."""

    text: str
    style: str = ""
    hang: int = 0

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        for line in wrap(visible(self.text), options.max_width, self.hang):
            yield Text(line, style=self.style, no_wrap=True, overflow="ignore")


def _broken(header: str, width: int) -> list[str]:
    """A header in lines, broken after a hyphen, too."""
    lines = wrap(header.replace("-", "- "), width)
    return [line.replace("- ", "-") for line in lines]


@dataclass(frozen=True)
class Grid:
    """A table; a column whose name ends in `>` is aligned to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        if self.title:
            yield Prose(self.title, "table.title")
        full = self.without_empty_columns()
        tight = (full._grid(tight=True), full._grid(tight=True, edge=False))
        for grid in (self._grid(), full._grid(), *tight):
            wide = options.update(max_width=WIDE, no_wrap=True, overflow="ignore")
            width = console.measure(grid, options=wide).maximum
            if width <= options.max_width:
                yield from console.render(grid, options.update(max_width=width))
                return
        yield ""
        yield from full._stacked(options.max_width)
        yield ""

    def without_empty_columns(self) -> "Grid":
        """Without the columns that have no cell in any row."""
        kept = [i for i in range(len(self.columns)) if any(row[i] for row in self.rows)]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return Grid(tuple(self.columns[i] for i in kept), rows)

    def _grid(self, tight: bool = False, edge: bool = True) -> "Table":
        """All on one line a row; `tight`: with headers of several lines and less space."""
        from rich.box import SIMPLE_HEAD
        from rich.cells import cell_len
        from rich.table import Table
        from rich.text import Text

        padding = (0, 1, 0, 0) if tight else (0, 1)
        grid = Table(box=SIMPLE_HEAD, pad_edge=False, padding=padding, show_edge=edge)
        for i, column in enumerate(self.columns):
            justify: Literal["left", "right"] = "right" if column.endswith(">") else "left"
            name = column.rstrip(">")
            longest = max((cell_len(row[i]) for row in self.rows), default=0)
            header = "\n".join(_broken(name, longest)) if tight else name
            grid.add_column(Text(header), justify=justify, no_wrap=True)
        for row in self.rows:
            grid.add_row(*map(Text, row))
        return grid

    def _stacked(self, width: int) -> Iterator[Prose]:
        """A row: its name, and after or below it its other cells, each with its column's name."""
        names = self._names()
        if heading := " ".join(filter(None, self.columns[:names])):
            yield Prose(heading, "table.header")
        for row in self.rows:
            name, cells = " ".join(filter(None, row[:names])), self._cells(row, names)
            if len(together := _flow([name, *cells], width)) == 1:
                yield Prose(together[0])
                continue
            yield Prose(name)
            yield from (Prose(f"  {line}") for line in _flow(cells, width))

    def _names(self) -> int:
        """How many columns at the left name the row: those before the first figures."""
        figures = [i for i, column in enumerate(self.columns) if column.endswith(">")]
        return max(1, figures[0]) if figures else 1

    def _cells(self, row: Sequence[str], start: int) -> list[str]:
        named = [(c.rstrip(">"), cell) for c, cell in zip(self.columns, row, strict=True)][start:]
        return [f"{name}: {cell}" if name else cell for name, cell in named if cell]


def _flow(cells: Sequence[str], width: int) -> list[str]:
    """As many cells on a line as there is space for; a cell is never divided."""
    from rich.cells import cell_len

    lines: list[str] = []
    for cell in cells:
        longer = f"{lines[-1]}{' ' * GAP}{cell}" if lines else ""
        if lines and cell_len(longer) + 2 <= width:
            lines[-1] = longer
        else:
            lines.append(cell)
    return lines


def table(columns: Iterable[str], rows: Iterable[Sequence[object]], title: str = "") -> Any:
    """A table; a column whose name ends in `>` is aligned to the right."""
    cells = (tuple("" if cell is None else visible(str(cell)) for cell in row) for row in rows)
    return Grid(tuple(columns), tuple(cells), title)
