"""What a page is made of: sections of sentences, tables and figures. Neither HTML nor numbers."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Cell = str | int | float | None

# Control characters, marks that turn the direction of writing, and what XML cannot hold.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True)
class Text:
    """A sentence or a few."""

    text: str


@dataclass(frozen=True)
class Finding(Text):
    """A sentence that answers the section's question."""


@dataclass(frozen=True)
class Missing(Text):
    """Why there is nothing to show, and the command that changes that."""

    command: str = ""


@dataclass(frozen=True)
class Table:
    """A table that can be sorted and downloaded; `name` is also that of its file."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A drawing, what it shows in words, and its numbers."""

    title: str
    description: str
    svg: str
    numbers: Table


Block = Text | Table | Figure


@dataclass(frozen=True)
class Section:
    """A part of the page; `name` is its anchor."""

    name: str
    title: str
    blocks: tuple[Block, ...]


def make_table(
    name: str, caption: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]
) -> Table:
    return Table(name, caption, tuple(columns), tuple(tuple(row) for row in rows))


def printable(text: str) -> str:
    """`text` on one line, with a mark in place of each character that cannot be shown."""
    return UNPRINTABLE.sub("\ufffd", text)


def fixed(value: float | None, digits: int = 4) -> str:
    """A number with so many decimals; empty where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def points(difference: float) -> str:
    """A difference of two accuracies in points of a hundred, without its sign."""
    return f"{abs(100 * difference):.1f}"


def shortened(text: str, length: int = 24) -> str:
    """`text` as the label of an axis: printable, and its middle left out where it is long."""
    text = printable(text)
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"
