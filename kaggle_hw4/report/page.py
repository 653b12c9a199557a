"""One HTML page that needs no other file and no network, from sections.

Its content policy allows its own style and script, by their hashes, and pictures that stand in the
page itself: nothing else is loaded or run, whatever a name in it says.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

from kaggle_hw4.report.document import (
    Block,
    Cell,
    Figure,
    Finding,
    Missing,
    Section,
    Table,
    Text,
    printable,
)

FOLDER = Path(__file__).parent
LONG = 40  # characters of a cell that is wrapped


@dataclass(frozen=True)
class Heading:
    """What stands above all sections; `time` is when the page was made, in UTC."""

    title: str
    lines: tuple[str, ...]
    time: str
    findings: tuple[tuple[str, str], ...] = ()  # the anchor of a section, and its answer


def render(heading: Heading, sections: Sequence[Section]) -> str:
    """The whole page."""
    style, script = ((FOLDER / name).read_text("utf-8") for name in ("page.css", "page.js"))
    links = "".join(f'<li><a href="#{s.name}">{_text(s.title)}</a></li>\n' for s in sections)
    body = "\n".join(_section(section) for section in sections)
    title = _text(heading.title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<h1>{title}</h1>
{_opening(heading)}</header>
<nav aria-label="Sections"><ul>
{links}</ul></nav>
<main id="content">
{body}
</main>
<footer><p>{_text(heading.time)}</p></footer>
<script>{script}</script>
</body>
</html>
"""


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _opening(heading: Heading) -> str:
    """What stands below the title: its lines, and the answers of all sections."""
    lines = "".join(f"<p>{_text(line)}</p>\n" for line in heading.lines)
    findings = "".join(
        f'<li>{_text(text)} <a href="#{anchor}">More<span class="hidden"> on: {_text(text)}'
        "</span></a></li>\n"
        for anchor, text in heading.findings
    )
    return lines + (f'<ul class="findings">\n{findings}</ul>\n' if findings else "")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(text: str) -> str:
    return escape(printable(text))


def _section(section: Section) -> str:
    blocks = "\n".join(_blocks(section.blocks))
    title = f'<h2 id="{section.name}-title">{_text(section.title)}</h2>'
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">\n'
        f"{title}\n{blocks}\n</section>"
    )


def _blocks(blocks: Sequence[Block]) -> Iterable[str]:
    """The blocks of a section; figures that follow each other share a grid."""
    for are_figures, group in groupby(blocks, key=lambda block: isinstance(block, Figure)):
        parts = "\n".join(_block(block) for block in group)
        yield f'<div class="figures">\n{parts}\n</div>' if are_figures else parts


def _block(block: Block) -> str:
    match block:
        case Figure():
            return _figure(block)
        case Table():
            return f'<div class="block">{_table(block)}</div>'
        case Missing():
            command = f" <code>{_text(block.command)}</code>" if block.command else ""
            return f'<p class="missing">{_text(block.text)}{command}</p>'
        case Finding():
            return f'<p class="finding">{_text(block.text)}</p>'
        case Text():
            return f"<p>{_text(block.text)}</p>"


def _figure(figure: Figure) -> str:
    return (
        f"<figure>\n<h3>{_text(figure.title)}</h3>\n<p>{_text(figure.description)}</p>\n"
        f"{figure.svg}\n<details><summary>Numbers"
        f'<span class="hidden">: {_text(figure.title)}</span></summary>'
        f"{_table(figure.numbers)}</details>\n</figure>"
    )


def _table(table: Table) -> str:
    numbers = [
        all(_is_number(row[i]) for row in table.rows) and any(_cell(row[i]) for row in table.rows)
        for i in range(len(table.columns))
    ]
    classes = [' class="number"' if number else "" for number in numbers]
    head = "".join(
        f'<th scope="col"{kind}>{_text(name)}</th>'
        for name, kind in zip(table.columns, classes, strict=True)
    )
    rows = "\n".join(
        "<tr>" + "".join(_data(_cell(c), k) for c, k in zip(row, classes, strict=True)) + "</tr>"
        for row in table.rows
    )
    caption = _text(table.caption)
    return (
        f'<p class="caption" aria-hidden="true">{caption}</p>\n'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}">\n'
        f'<table id="{table.name}"><caption class="hidden">{caption}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _data(text: str, kind: str) -> str:
    """A cell; a long text may be wrapped."""
    kind = ' class="long"' if len(text) > LONG else kind
    return f"<td{kind}>{_text(text)}</td>"


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(value: Cell) -> bool:
    text = _cell(value).replace(",", "")
    if not text:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
