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
    path = to or workspace.root / "metrics.csv" if form == "csv" else event_folder(workspace, to)
    if form == "csv":
        write_text(path, _csv(runs))
    else:
        for run, lines in runs.items():
            with EventFile(path / run.name, run) as file:
                file.update(lines)
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


def event_folder(workspace: Workspace, to: Path | None) -> Path:
    """Where TensorBoard is to look."""
    return to or workspace.root / "tensorboard"


class EventFile:
    """TensorBoard's file of one run, in place of any that was in `folder`."""

    def __init__(self, folder: Path, run: "Run") -> None:
        self.folder, self.lines = folder, list[dict[str, float]]()
        self.start = (run.folder / "recipe.toml").stat().st_mtime
        self._open()

    def _open(self) -> None:
        try:
            from tensorboardX.event_file_writer import EventsWriter
        except ImportError as error:
            raise UsageError("tensorboardX is not installed", INSTALL) from error
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("events.out.tfevents.*"):
            old.unlink()
        # A SummaryWriter would write in a thread of its own, and later.
        self.lines, self.writer = [], EventsWriter(str(self.folder / "events"))

    def update(self, lines: list[dict[str, float]]) -> None:
        """Append what `lines` has more than the file; a training that resumed may have dropped
        lines: then the file is written anew.
        """
        if lines[: len(self.lines)] != self.lines:
            self.writer.close()
            self._open()
        for line in lines[len(self.lines) :]:
            self._append(line)
        self.lines = lines
        self.writer.flush()

    def _append(self, line: dict[str, float]) -> None:
        """A line as scalars; what is of the validation stands in a group of its own."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        time, names = self.start + line.get("seconds", 0.0), FIGURES[:-1]
        values = [(_tag(name), line[name]) for name in names if name in line]
        summary = Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in values])
        self.writer.write_event(Event(wall_time=time, step=int(line["step"]), summary=summary))

    def __enter__(self) -> "EventFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()


def _tag(name: str) -> str:
    if name.startswith("validation_"):
        return name.replace("_", "/", 1)
    return f"training/{name}"
