"""From a workspace to the file of its report."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from kaggle_hw4 import __version__
from kaggle_hw4.artifact import read_file, write_text
from kaggle_hw4.report.canvas import check_matplotlib
from kaggle_hw4.report.collect import Absent, Collector, ComparisonReport, Result
from kaggle_hw4.report.document import Block, Finding, Missing, Section
from kaggle_hw4.report.page import Heading, render
from kaggle_hw4.report.subject import find_subject
from kaggle_hw4.report.views.board import show_board
from kaggle_hw4.report.views.comparison import question, show_comparisons
from kaggle_hw4.report.views.cost import show_cost
from kaggle_hw4.report.views.data import show_data
from kaggle_hw4.report.views.ensemble import show_ensemble
from kaggle_hw4.report.views.models import show_models
from kaggle_hw4.report.views.study import show_studies
from kaggle_hw4.workspace import Workspace

FILE = "report.html"
NO_COMMANDS: Mapping[str, str] = {}
TIME = re.compile(r"<footer>.*</footer>")

View = tuple[str, Callable[[Any], Iterable[Block]]]
VIEWS: dict[str, View] = {
    "board": ("The board", show_board),
    "comparison": ("Models compared", show_comparisons),
    "models": ("The models", show_models),
    "data": ("The data", show_data),
    "ensemble": ("The ensemble", show_ensemble),
    "study": ("The study", show_studies),
    "cost": ("Cost", show_cost),
}


@dataclass(frozen=True)
class ReportFile:
    """A report; `absent` are the sections that had nothing to show."""

    path: Path
    bytes: int
    sections: tuple[str, ...]
    absent: tuple[str, ...]

    def _repr_html_(self) -> str:
        """The page inside of a notebook, in a frame of its own."""
        page = escape(self.path.read_text("utf-8"))
        allowed = "allow-scripts allow-downloads"
        size = 'width="100%" height="800"'
        return f'<iframe title="hw4 report" sandbox="{allowed}" {size} srcdoc="{page}"></iframe>'


def write_report(
    workspace: Workspace,
    name: str | None = None,
    out: Path | None = None,
    time: datetime | None = None,
    commands: Mapping[str, str] = NO_COMMANDS,
    progress: Callable[[int, int], None] = lambda *_: None,
    storage: str | None = None,
) -> ReportFile:
    """Write the report of a workspace, or of the run, submission or study called `name`; studies
    that are on the server at the URL `storage` included.

    `commands` are what to type in place of `hw4 train` and the like, where something is missing.
    The file is left alone where nothing but its time would change. `progress(done, total)` counts
    sections. Raises UsageError where there is no such name, or without matplotlib.
    """
    check_matplotlib()
    subject = find_subject(workspace, name, storage)
    collector, sections, absent = Collector(workspace, subject), [], []
    for done, each in enumerate(subject.sections, 1):
        result = collector.section(each)
        sections.append(show_section(each, result, commands))
        absent += [each] if isinstance(result, Absent) else []
        progress(done, len(subject.sections))
    moment = (time or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    heading = Heading(
        subject.title,
        ("Validation is out of fold; errors are standard errors over speakers (s.e.).",),
        f"Written {moment} by hw4 {__version__}.",
        tuple((s.name, b.text) for s in sections for b in s.blocks if isinstance(b, Finding)),
    )
    path = out or workspace.root / FILE
    page = render(heading, sections)
    if not _is_same(path, page):
        write_text(path, page)
    return ReportFile(path, len(page.encode()), subject.sections, tuple(absent))


def show_section(name: str, result: Result, commands: Mapping[str, str]) -> Section:
    """A section with its sentences, tables and figures."""
    title, show = VIEWS[name]
    if isinstance(result, Absent):
        return Section(
            name, title, (Missing(result.reason, commands.get(result.command, result.command)),)
        )
    if isinstance(result, ComparisonReport):
        title = question(result)
    return Section(name, title, tuple(show(result)))


def _is_same(path: Path, page: str) -> bool:
    """Whether the file in `path` differs from `page` in its time alone."""
    if not path.is_file():
        return False
    old = read_file(path).decode("utf-8", "replace")
    return TIME.sub("", old) == TIME.sub("", page)
