"""What every chart shares: size, fonts, axes, and the way from matplotlib into the page.

Colours are placeholders that `report.svg` turns into variables of the page. No chart parses a name
as mathematics, and none touches pyplot.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING

from kaggle_hw4.errors import UsageError
from kaggle_hw4.report.document import Cell, Figure, make_table, printable
from kaggle_hw4.report.svg import GRID, INK, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 360, 220  # points: readable on a phone, and twice as large on a desk
INSTALL = "pip install 'kaggle_hw4[report]'"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hw4",
    "text.parse_math": False,
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.markersize": 4,
}


@dataclass(frozen=True)
class Labels:
    """The words of a chart: its id, title, description and axes."""

    name: str
    title: str
    description: str
    x: str = ""
    y: str = ""
    whole: bool = False  # numbers on the x axis


def check_matplotlib() -> None:
    """UsageError where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise UsageError("the report's figures need matplotlib", INSTALL)


def make_figure(
    labels: Labels,
    svg: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    caption: str = "",
) -> Figure:
    """A drawing and its numbers, whose table has a caption of its own or the figure's title."""
    numbers = make_table(labels.name, caption or labels.title, columns, rows)
    return Figure(labels.title, labels.description, svg, numbers)


def draw(labels: Labels, paint: Callable[["Axes"], None], height: float = HEIGHT) -> str:
    """A chart with one pair of axes that `paint` fills."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    with rc_context(STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.simplefilter("ignore")  # a font without some glyph: the page has others
        figure = Canvas(figsize=(WIDTH / 72, height / 72), layout="constrained")
        axes = figure.subplots()
        axes.set_xlabel(printable(labels.x))
        axes.set_ylabel(printable(labels.y))
        paint(axes)
        _ticks(axes, labels.whole)
        out = StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    title, description = printable(labels.title), printable(labels.description)
    return inline(out.getvalue(), f"{labels.name}-figure", title, description)


def _ticks(axes: "Axes", whole: bool) -> None:
    """Numbers as they are written in a text: matplotlib's powers of ten would be mathematics."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    if axes.get_xscale() == "log":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def add_legend(axes: "Axes", rows: int) -> None:
    """Above the axes, where it covers nothing."""
    longest = max((len(text) for text in axes.get_legend_handles_labels()[1]), default=0)
    columns = max(1, min(3 if longest < 16 else 2, rows))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2)
