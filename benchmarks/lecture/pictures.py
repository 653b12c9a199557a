"""Pictures for docs/lecture: the report's charts as files, for light and for dark pages."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kaggle_hw4.report.canvas import Labels, draw
from kaggle_hw4.report.plots import DASHES, PIXELS
from kaggle_hw4.report.svg import SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGEST = 60_000  # bytes of a picture
CSS = Path(__file__).parents[2] / "kaggle_hw4" / "report" / "page.css"
Array = npt.NDArray[Any]
ATTRIBUTES = 'xmlns="http://www.w3.org/2000/svg" width="540"'
FRAME = 0.01  # seconds


def save(folder: Path, name: str, svg: str) -> None:
    """Write the chart `svg`, with the page's two sets of colours and a ground of its own."""
    rules = CSS.read_text(encoding="utf-8")
    sets = [" ".join(part.split()) for part in re.findall(r"--page[^}]*", rules)]
    style = (
        f"<style>:root{{{sets[0]} color:var(--ink)}}@media (prefers-color-scheme:dark)"
        f"{{:root{{{sets[1]}}}}}text{{fill:currentColor;font-family:sans-serif}}</style>"
        '<rect width="100%" height="100%" fill="var(--page)"/>'
    )
    start = svg.index(">") + 1  # of the svg element itself
    opening = svg[: start - 1].replace("<svg", f"<svg {ATTRIBUTES}", 1)
    text = f"{opening}>{style}{svg[start:]}\n"
    assert len(text) < LARGEST, f"{name}.svg has {len(text):,} bytes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.svg").write_text(text, encoding="utf-8")


def image(labels: Labels, values: Array, height: float = 300) -> str:
    """A matrix as a picture, the first row at the bottom; both axes are seconds."""

    def paint(axes: "Axes") -> None:
        rows, columns = values.shape
        extent = (0.0, columns * FRAME, 0.0, rows * FRAME)
        axes.imshow(levels(values), aspect="auto", extent=extent, cmap="cividis", **PIXELS)
        axes.grid(visible=False)

    return draw(labels, paint, height)


def over_frames(labels: Labels, frames: Array, curves: Mapping[str, Array]) -> str:
    """Curves over time, each between 0 and 1, below an utterance's log-mel frames (T, n_mels)."""

    def paint(axes: "Axes") -> None:
        seconds = len(frames) * FRAME
        picture = levels(frames.T)
        axes.imshow(
            picture, aspect="auto", extent=(0.0, seconds, 1.1, 2.1), cmap="cividis", **PIXELS
        )
        time = (np.arange(len(frames)) + 0.5) * FRAME
        for k, (name, values) in enumerate(curves.items()):
            axes.plot(time, values, color=SERIES[k], linestyle=DASHES[k], label=name)
        axes.set(xlim=(0, seconds), ylim=(0, 2.1))
        axes.set_yticks([0, 0.5, 1])
        columns = 3 if max(map(len, curves)) < 16 else 2
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2)

    return draw(labels, paint, 300)


def levels(values: Array, count: int = 16) -> Array:
    """In few levels from the 2nd to the 99th percentile: a small file."""
    low, high = np.percentile(values, (2, 99))
    return np.asarray(np.clip((values - low) / max(high - low, 1e-9), 0, 1) * count).round()


def log10(values: Sequence[float] | Array) -> Array:
    return np.log10(np.maximum(np.asarray(values, float), 1e-12))
