"""Charts as SVG, by matplotlib: numbers in, an element of the page out.

Series differ in marker and dashes as well as in colour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kaggle_hw4.report.canvas import HEIGHT, Labels, add_legend, draw
from kaggle_hw4.report.document import shortened
from kaggle_hw4.report.svg import INK, PAGE, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = Sequence[float] | npt.NDArray[Any]
Matrix = Sequence[Sequence[float]] | npt.NDArray[Any]

MARKERS, DASHES = ("o", "s", "^", "D", "v", "P", "X", "*"), ("-", "--", "-.", ":")
LEVELS = 24  # of a spectrogram


@dataclass(frozen=True)
class Series:
    """A line or a cloud of points; `low` and `high` are a 95 % band around `y`."""

    name: str
    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None
    joined: bool = False  # by a line, also in a cloud


def lines(
    labels: Labels,
    series: Sequence[Series],
    references: Mapping[str, float] | None = None,
    steps: bool = False,
) -> str:
    """Lines with their bands; `references` are horizontal lines with a name."""

    def paint(axes: "Axes") -> None:
        for k, each in enumerate(series):
            _line(axes, k, each, steps)
        for name, value in (references or {}).items():
            axes.axhline(value, color=INK, linewidth=0.8, linestyle=":")
            place = (0.99, value)
            axes.annotate(
                shortened(name), place, xycoords=("axes fraction", "data"), ha="right", va="bottom"
            )
        if len(series) > 1:
            add_legend(axes, len(series))

    return draw(labels, paint, HEIGHT + 14 * (max(0, len(series) - 1) // 3))


def _line(axes: "Axes", k: int, series: Series, steps: bool) -> None:
    colour, dash = SERIES[k % len(SERIES)], DASHES[k // 2 % len(DASHES)]
    if series.low is not None and series.high is not None:
        axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.2, linewidth=0)
    few = len(series.x) <= 40
    axes.plot(
        series.x,
        series.y,
        color=colour,
        linestyle=dash,
        marker=MARKERS[k % len(MARKERS)] if few and not steps else "",
        drawstyle="steps-post" if steps else "default",
        label=shortened(series.name),
    )


def scatter(
    labels: Labels, series: Sequence[Series], diagonal: bool = False, log_x: bool = False
) -> str:
    """Clouds of points, with error bars where a series has a band."""

    def paint(axes: "Axes") -> None:
        for k, each in enumerate(series):
            _points(axes, k, each)
        if diagonal:
            middle = float(np.mean(np.concatenate([np.asarray(each.x) for each in series])))
            axes.axline((middle, middle), slope=1, color=INK, linewidth=0.8, linestyle=":")
        if log_x:
            axes.set_xscale("log")
        if len(series) > 1:
            add_legend(axes, len(series))

    return draw(labels, paint, HEIGHT + 14 * (max(0, len(series) - 1) // 3))


def _points(axes: "Axes", k: int, series: Series) -> None:
    y, error = np.asarray(series.y, float), None
    if series.low is not None and series.high is not None:
        error = np.maximum([y - np.asarray(series.low), np.asarray(series.high) - y], 0)
    axes.errorbar(
        series.x,
        y,
        error,
        linestyle=DASHES[k % 2] if series.joined else "",
        marker="" if series.joined else MARKERS[k % len(MARKERS)],
        color=SERIES[k % len(SERIES)],
        elinewidth=1,
        label=shortened(series.name),
    )


def bars(labels: Labels, names: Sequence[str], values: Values, errors: Values | None = None) -> str:
    """Horizontal bars, the first at the top; `errors` are standard errors."""

    def paint(axes: "Axes") -> None:
        place = np.arange(len(names))
        axes.barh(place, values, color=SERIES[0], xerr=errors, ecolor=INK, height=0.7)
        axes.set_yticks(place, [shortened(name) for name in names])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.axvline(0, color=INK, linewidth=0.8)

    return draw(labels, paint, 60 + 17 * len(names))


def histogram(labels: Labels, counts: Mapping[str, Values], edges: Values) -> str:
    """Shares of each sample (k,) between `edges` (k + 1,), as outlines."""

    def paint(axes: "Axes") -> None:
        for k, (name, heights) in enumerate(counts.items()):
            colour = SERIES[k % len(SERIES)]
            dash, label = DASHES[k % 4], shortened(name)
            axes.stairs(heights, edges, color=colour, linestyle=dash, label=label, lw=1.5)
            axes.stairs(heights, edges, color=colour, fill=True, alpha=0.15)
        axes.set_ylim(bottom=0)
        if len(counts) > 1:
            add_legend(axes, len(counts))

    return draw(labels, paint)


def heatmap(labels: Labels, matrix: Matrix, rows: Sequence[str], columns: Sequence[str]) -> str:
    """A matrix as cells whose depth of colour is their value, each with its number."""
    from matplotlib.patches import Rectangle

    cells = np.asarray(matrix, float)
    largest = max(float(np.nanmax(cells)), 1e-9) if cells.size else 1.0

    turn = 60 if max(map(len, columns), default=0) > 3 else 0

    def paint(axes: "Axes") -> None:
        for (i, j), value in np.ndenumerate(cells):
            if value:
                axes.add_patch(
                    Rectangle((j - 0.5, i - 0.5), 1, 1, fc=SERIES[0], alpha=0.7 * value / largest)
                )
                axes.text(j, i, f"{value:g}", ha="center", va="center", fontsize=8)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
        axes.set_xticks(range(len(columns)), [shortened(c, 12) for c in columns], rotation=turn)
        axes.set_yticks(range(len(rows)), [shortened(r, 16) for r in rows])
        axes.grid(visible=False)

    return draw(labels, paint, 110 + 18 * len(rows))


PIXELS: dict[str, Any] = {"origin": "lower", "interpolation": "none"}


def spectrogram(labels: Labels, frames: Values, weights: Values | None) -> str:
    """Log-mel frames (T, n_mels), 10 ms each, and the pooling's weights (T,) laid over them."""

    def paint(axes: "Axes") -> None:
        picture = _levels(np.asarray(frames, float).T)
        seconds = picture.shape[1] / 100
        extent = (0.0, seconds, 0.0, float(len(picture)))
        axes.imshow(picture, aspect="auto", extent=extent, cmap="cividis", **PIXELS)
        axes.grid(visible=False)
        if weights is not None:
            _weights(axes, np.asarray(weights, float), len(picture), seconds)

    return draw(labels, paint, 170)


def _levels(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """In few levels from the 2nd to the 99.5th percentile: a picture that is small as a file."""
    low, high = np.percentile(picture, (2, 99.5))
    return np.asarray(np.clip((picture - low) / max(high - low, 1e-9), 0, 1) * LEVELS).round()


def _weights(axes: "Axes", weights: npt.NDArray[Any], bands: int, seconds: float) -> None:
    from matplotlib.patheffects import withStroke

    time = (np.arange(len(weights)) + 0.5) / len(weights) * seconds
    height = weights / max(float(weights.max()), 1e-12) * 0.95 * bands
    outline = [withStroke(linewidth=3, foreground="black")]
    axes.plot(time, height, color="white", linewidth=1.4, path_effects=outline)


def plane(labels: Labels, groups: Sequence[Series], links: Sequence[npt.NDArray[Any]]) -> str:
    """Clouds of points; each of `links` (n, 2, 2) joins the points of a cloud to their centres."""
    from matplotlib.collections import LineCollection

    def paint(axes: "Axes") -> None:
        for k, (each, segments) in enumerate(zip(groups, links, strict=True)):
            colour = SERIES[k % len(SERIES)]
            axes.add_collection(LineCollection(list(segments), colors=colour, lw=0.6, alpha=0.5))
            axes.plot(
                each.x,
                each.y,
                color=colour,
                marker=MARKERS[k % len(MARKERS)],
                linestyle="",
                label=shortened(each.name, 16),
                markeredgecolor=PAGE,
                markeredgewidth=0.4,
            )
        add_legend(axes, len(groups))

    return draw(labels, paint, 340)
