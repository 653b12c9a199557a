"""How a RunSpec becomes a finished run; also as a process of its own.

`python -m kaggle_hw4.execution.worker SPEC [DEADLINE]` trains the run that the JSON describes,
until the deadline, if there is one. Its result is the run's folder; its last line on stderr says
why it failed, its exit code how. Its stdin is its lifeline: when that closes, whoever started it
is gone, and it stops with a checkpoint.
"""

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.errors import FAULT, DataError, UsageError, WithRemedy
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.locks import Timeout, locked
from kaggle_hw4.progress import Bar, Unseen, no_bar
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.progress import Monitor
    from kaggle_hw4.ranks import Ranks
    from kaggle_hw4.recipe import Recipe
    from kaggle_hw4.run_manifest import Manifest
    from kaggle_hw4.runs import Run
    from kaggle_hw4.training.pacing import Limit

PATIENCE = 60.0  # seconds between two lines that say what a process waits for


@dataclass(frozen=True)
class Prepared:
    """A spec with all that it names, found and checked."""

    spec: RunSpec
    run: "Run"
    recipe: "Recipe"
    corpus: "Corpus"
    folds: "Folds"


def prepare(spec: RunSpec, bar: Bar = no_bar, like: Prepared | None = None) -> Prepared:
    """Find what `spec` names; RecipeError, DataError or UsageError where it is not there.

    `bar(name)` makes the progress of the corpus's check. The data of `like`, which is that of the
    same workspace and split, is not read and checked again.
    """
    # The recipe first: a misspelt name or key ends it at once.
    from kaggle_hw4.recipe import read_recipe

    workspace = Workspace(Path(spec.workspace))
    path = workspace.variant(spec.variant)
    recipe = read_recipe(path, spec.settings)

    # The data.
    from kaggle_hw4.data.corpus import open_corpus
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.runs import Run

    corpus = like.corpus if like else open_corpus(workspace.corpus, bar)
    folds = like.folds if like else find_folds(workspace.folds, corpus, spec.split)
    folds.check(spec.fold)
    runs = Path(spec.runs) if spec.runs else workspace.runs
    inputs = [corpus.hash, folds.hash]
    run = Run.of(runs, path.stem, recipe, inputs, spec.fold, spec.seed)
    return Prepared(spec, run, recipe, corpus, folds)


class Preparer:
    """Finds the runs of many specs; the data of a workspace and a split is read once."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str | None], Prepared] = {}

    def run(self, spec: RunSpec) -> "Run":
        key = spec.workspace, spec.split
        prepared = prepare(spec, like=self.known.get(key))
        self.known.setdefault(key, prepared)
        return prepared.run


def execute(
    prepared: Prepared,
    monitor: "Monitor",
    limit: "Limit | None" = None,
    ranks: "Ranks | None" = None,
) -> "Manifest":
    """Train a run, or what is left of it, within its time; return its manifest. `ranks` are the
    processes that train it together.
    """
    from kaggle_hw4.device import choose_device
    from kaggle_hw4.execution.sources import find_sources
    from kaggle_hw4.ranks import ALONE
    from kaggle_hw4.training.loop import train_run

    device, precision = choose_device(prepared.spec.device), prepared.spec.precision
    run, recipe, corpus, folds = prepared.run, prepared.recipe, prepared.corpus, prepared.folds
    sources = find_sources(Workspace(Path(prepared.spec.workspace)), run, recipe, corpus, folds)
    inputs = (run, recipe, corpus, folds, device, monitor, precision, limit, sources)
    return train_run(*inputs, ranks or ALONE)


class Silent(Unseen):
    """The monitor of a worker, whose notes go into the run's log."""

    def note(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")


def main(spec: RunSpec, limit: "Limit | None" = None) -> int:
    """Train within the time, and return the exit code."""
    if hasattr(signal, "SIGUSR2"):  # what a cluster's queue sends before it takes the machine away
        signal.signal(signal.SIGUSR2, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        _execute_when_free(prepare(spec), limit)
    except WithRemedy as error:
        return _complain(str(error), error.exit_code)
    except OSError as error:
        place = error.filename or spec.runs or spec.workspace
        return _complain(f"{place}: {error.strerror or error}", DataError.exit_code)
    except Exception as error:
        return _fault(error)
    return 0


def _fault(error: Exception) -> int:
    """Want of memory, or a fault of hw4's own, whose traceback goes into the run's log."""
    from kaggle_hw4.device import is_out_of_memory

    traceback.print_exc()
    if is_out_of_memory(error):
        return _complain("there is not enough memory", DataError.exit_code)
    return _complain(f"a fault of hw4's own ({type(error).__name__}: {error})", FAULT)


def _complain(text: str, code: int) -> int:
    with suppress(OSError):  # on a full disk the code alone must do
        sys.stderr.write(f"{text}\n")
    return code


def _execute_when_free(prepared: Prepared, limit: "Limit | None") -> None:
    """Train the run when no other process does: that of a killed parent, which is finishing its
    step, or another command's. A run that this one has finished is left as it is.
    """
    while True:
        _wait_for_others(prepared.run.lock)
        try:
            execute(prepared, Silent(), limit)
        except UsageError as error:  # a third one was faster
            if not isinstance(error.__cause__, Timeout):
                raise
        else:
            return


def _wait_for_others(lock: Path) -> None:
    while lock.exists():
        with suppress(Timeout), locked(lock, timeout=PATIENCE):
            return
        sys.stderr.write("another process trains this run: waiting for it\n")


def _stop_with_parent() -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


def _deadline(text: str) -> "Limit":
    from kaggle_hw4.execution.time_limit import Deadline

    return Deadline.model_validate_json(text)


if __name__ == "__main__":
    sys.exit(main(RunSpec.from_json(sys.argv[1]), *map(_deadline, sys.argv[2:3])))
