"""The table of Kaggle's Submissions page as a browser copies it: a cell a line, or tabs.

    output_Boss_V3.csv
    Complete (after deadline) · 5d ago · boss

    0.75825
    0.75775

A submission begins with its name, above a line that begins with its status. Its scores stand in the
order of the header; without a header, in the page's own: private before public, and a single one is
the public score, since a private one is never out alone.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from kaggle_hw4.kaggle.cells import Raw

STATUS = re.compile(
    r"(complete|succeeded|error|failed|cancell?ed|pending|running|queued)( \([^)]*\))?( ·.*)?", re.I
)
FILE = re.compile(r"[^·/]*\.(?:csv|zip|gz|7z)", re.IGNORECASE)
SCORE = re.compile(r"[01]?[.,]\d+")
HEADS = {
    "privatescore": "private",
    "publicscore": "public",
    "private": "private",
    "public": "public",
}
ORDER = ("private", "public")


class Cell(NamedTuple):
    line: int
    text: str


def is_page(lines: Sequence[str]) -> bool:
    """Whether a line begins with a status, a cell has one, or a line is a file's name."""
    return any(
        STATUS.fullmatch(cell.strip()) and (at == 0 or "·" in cell)
        for line in lines
        for at, cell in enumerate(line.split("\t"))
    ) or any(FILE.fullmatch(line.strip()) for line in lines)


def page_rows(lines: Sequence[str]) -> list[Raw]:
    """The submissions of a copied page; what is ambiguous has its problem."""
    cells = [
        Cell(number, text.strip())
        for number, line in enumerate(lines, 1)
        for text in line.split("\t")
        if text.strip()
    ]
    starts = _starts(cells)
    order = _order(cells[: starts[0]] if starts else cells)
    before = [cell for cell in cells[: starts[0] if starts else None] if SCORE.fullmatch(cell.text)]
    orphans = [Raw(cell.line, {}, "a score without a submission's name") for cell in before]
    ends = [*starts[1:], len(cells)]
    blocks = [cells[start:end] for start, end in zip(starts, ends, strict=False)]
    named = any(_has_status(block) for block in blocks)
    return orphans + [_row(block, order, named) for block in blocks]


def _starts(cells: Sequence[Cell]) -> list[int]:
    """Where submissions begin: a name above its status, or a file's name."""
    return [
        i
        for i, cell in enumerate(cells)
        if FILE.fullmatch(cell.text)
        or (_has_status(cells[i : i + 2]) and not SCORE.fullmatch(cell.text) and not _is_head(cell))
    ]


def _has_status(cells: Sequence[Cell]) -> bool:
    """Whether the second cell is the status of the first, which is none itself."""
    if len(cells) < 2 or STATUS.fullmatch(cells[0].text):
        return False
    return bool(STATUS.fullmatch(cells[1].text)) and "·" in cells[1].text


def _key(cell: Cell) -> str:
    return re.sub(r"[\W_]", "", cell.text).lower()


def _is_head(cell: Cell) -> bool:
    return _key(cell) in HEADS


def _order(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The halves in the order of the header."""
    return tuple(dict.fromkeys(HEADS[_key(cell)] for cell in cells if _is_head(cell))) or ORDER


def _row(block: Sequence[Cell], order: tuple[str, ...], named: bool) -> Raw:
    """A name, its status and words, and its scores; `named`: submissions have a status here."""
    (line, name), *rest = block
    status = rest[0].text if rest and STATUS.fullmatch(rest[0].text) else ""
    scores = [cell for cell in rest if SCORE.fullmatch(cell.text)]
    words = " ".join(cell.text for cell in rest if not SCORE.fullmatch(cell.text))
    columns = ("public",) if len(scores) == 1 and len(order) > 1 else order
    values = dict(zip(columns, (cell.text for cell in scores), strict=False))
    state = re.split(r"\W", status, maxsplit=1)[0].lower()
    error = words if state in ("error", "failed") else ""
    cells = {"file": name, "status": state, "message": words, "error": error, **values}
    if named and not _has_status(block):
        return Raw(line, cells, f"{name!r} may be a submission or words about one: no status")
    return Raw(line, cells, _too_many(scores, columns))


def _too_many(scores: Sequence[Cell], columns: tuple[str, ...]) -> str:
    if len(scores) <= len(columns):
        return ""
    lines = ", ".join(str(cell.line) for cell in scores)
    return f"{len(scores)} numbers (lines {lines}) for {len(columns)} scores"
