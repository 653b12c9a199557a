"""From the metrics of runs, finished or not, to a CSV or to TensorBoard's event files."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.runs import Run

INSTALL = "run pip install 'kaggle_hw4[tensorboard]'"
FORMATS: Final = ("csv", "tensorboard")
FIGURES = (
    "loss", "accuracy", "learning_rate", "validation_accuracy", "validation_loss", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """Where the metrics of so many runs were written."""

    path: Path
    runs: int
    lines: int


def export(
    workspace: Workspace, paths: Sequence[Path], form: str, to: Path | None = None
) -> Exported:
    """Write what runs logged while they trained, in one of FORMATS.

    A CSV is one file, a line for every line of the logs. TensorBoard gets a folder for each run. A
    file that exists is replaced. Raises UsageError for another format, DataError without any line.
    """
    from kaggle_hw4.artifact import write_text
    from kaggle_hw4.runs import find_runs

    if form not in FORMATS:
        raise UsageError(f"there is no format {form!r}", f"choose {' or '.join(FORMATS)}", "format")
    runs = {run: list(run.logged()) for run in find_runs(paths)}
    runs = {run: lines for run, lines in runs.items() if lines}
    if not runs:
        raise DataError("these runs have logged nothing yet", "`hw4 train` writes their metrics")
    path = to or workspace.root / {"csv": "metrics.csv", "tensorboard": "tensorboard"}[form]
    if form == "csv":
        write_text(path, _csv(runs))
    else:
        for run, lines in runs.items():
            _write_events(path / run.name, run, lines)
    return Exported(path, len(runs), sum(map(len, runs.values())))


def _csv(runs: "dict[Run, list[dict[str, float]]]") -> str:
    text = io.StringIO()
    columns = ("run", "variant", "fold", "seed", "step", *FIGURES)
    table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for run, lines in runs.items():
        names = {"run": run.name, "variant": run.variant, "fold": run.fold, "seed": run.seed}
        table.writerows({**names, **line} for line in lines)
    return text.getvalue()


def _write_events(folder: Path, run: "Run", lines: list[dict[str, float]]) -> None:
    """The lines as scalars; what is of the validation stands in a group of its own."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UsageError("tensorboardX is not installed", INSTALL) from error
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    start = (run.folder / "recipe.toml").stat().st_mtime
    with SummaryWriter(str(folder)) as writer:
        for line in lines:
            for name in FIGURES[:-1]:
                if name in line:
                    time = start + line.get("seconds", 0.0)
                    writer.add_scalar(_tag(name), line[name], int(line["step"]), time)


def _tag(name: str) -> str:
    if name.startswith("validation_"):
        return name.replace("_", "/", 1)
    return f"training/{name}"
