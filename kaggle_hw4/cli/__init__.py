"""The command line: parse, call, print; nothing else.

Heavy imports live inside the commands, so that `hw4 --help` is instant.
"""

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, TypeGuard

import typer

from kaggle_hw4 import __version__
from kaggle_hw4.cli import (
    chain,
    compare,
    data,
    doctor,
    ensemble,
    hints,
    leaderboard,
    pretraining,
    pseudo_labels,
    recipe,
    report,
    runs,
    streams,
    submissions,
    training,
    tuning,
)
from kaggle_hw4.cli.options import OrderOfWork
from kaggle_hw4.cli.output import complain
from kaggle_hw4.errors import (
    FAULT,
    DataError,
    LostRank,
    RecipeError,
    Shutdown,
    UsageError,
    WithRemedy,
)
from kaggle_hw4.pace import Verbosity, set_verbosity
from kaggle_hw4.signals import unwind_on_signals
from kaggle_hw4.torchrun import this_process

NO_MEMORY = (
    "there is not enough memory; end other programs, or give less to read or to train "
    "(`hw4 doctor` says what is free)"
)

app = typer.Typer(
    name="hw4",
    cls=OrderOfWork,
    help="From the official folder of ML2022 Spring HW4 (who is speaking?) to the top of its "
    "leaderboard.\n\nExample: hw4 run pipelines/demo.toml",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich would take longer to import than all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
training.add_to(app)
pretraining.add_to(app)
app.add_typer(tuning.app, name="tune")
ensemble.add_to(app)
compare.add_to(app)
pseudo_labels.add_to(app)
submissions.add_to(app)
leaderboard.add_to(app)
chain.add_to(app)
report.add_to(app)
recipe.add_to(app)
doctor.add_to(app)
app.add_typer(runs.app, name="runs")


def version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hw4 {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    workspace: Annotated[
        Path | None,
        typer.Option(help="The folder that holds everything; else HW4_WORKSPACE, else this one."),
    ] = None,
    _debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Show the traceback of an error, in any command; or set HW4_DEBUG."
        ),
    ] = False,
    _quiet: Annotated[
        bool, typer.Option("--quiet", help="No progress and no hints, in any command.")
    ] = False,
    _verbose: Annotated[
        bool, typer.Option("--verbose", help="More lines of progress, in any command.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Say which hw4.")
    ] = False,
) -> None:
    processes = this_process().count
    if processes > 1 and context.invoked_subcommand != "train":
        what = f"torchrun has started {processes} processes of a command that is a single one"
        raise UsageError(what, "torchrun is for `hw4 train`")
    if workspace is not None:
        os.environ["HW4_WORKSPACE"] = str(workspace)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error becomes one line and an exit code."""
    streams.open_missing()
    unwind_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without · and ± shows ? for them
            stream.reconfigure(errors="replace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    _take_switches(words)
    if this_process().rank:
        set_verbosity(Verbosity.QUIET)  # the first process shows what all of them do
    hints.remember(words)
    try:
        app(words)
    except BrokenPipeError:  # `hw4 … | head`
        sys.exit(141)
    except (Exception, Shutdown) as error:
        sys.exit(explain(error))
    finally:
        streams.settle()


def _take_switches(words: list[str]) -> None:
    """Act on --debug, --quiet and --verbose, wherever they stand: one thinks of them last."""
    wanted = {"--quiet": Verbosity.QUIET, "--verbose": Verbosity.VERBOSE}
    given = [word for word in words if word in ("--debug", *wanted)]
    set_verbosity(([wanted[word] for word in given if word in wanted] or [Verbosity.NORMAL])[-1])
    if "--debug" in given:
        os.environ["HW4_DEBUG"] = "1"
    words[:] = [word for word in words if word not in given]


def explain(error: BaseException) -> int:
    """Say in one line what went wrong; return its exit code."""
    if debugging():
        import traceback

        traceback.print_exception(error)
    if this_process().rank and _is_of_all(error):
        return error.exit_code
    if isinstance(error, WithRemedy):
        complain(_flag(error) + str(error), error.problems if isinstance(error, DataError) else ())
        return error.exit_code
    if _is_out_of_memory(error):
        complain(NO_MEMORY)
        return DataError.exit_code
    if isinstance(error, OSError):  # a full disk, a folder that may not be written
        complain(f"{error.filename or _workspace()}: {error.strerror or error}")
        return DataError.exit_code
    kind = f"{type(error).__name__}: {error}".splitlines()[0]
    complain(f"a fault of hw4's own ({kind}); please report it with {_keep_traceback(error)}")
    return FAULT


def _is_of_all(error: BaseException) -> TypeGuard[WithRemedy]:
    """Whether every process of a training ends with this error, and the first one says so."""
    stopped = isinstance(error, Shutdown) and not isinstance(error, LostRank)
    return stopped or isinstance(error, UsageError | RecipeError)


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether Python or, where it is in use, torch raised it for want of memory."""
    if isinstance(error, Exception) and "torch" in sys.modules:
        from kaggle_hw4.device import is_out_of_memory

        return is_out_of_memory(error)
    return isinstance(error, MemoryError)


def _workspace() -> str:
    """Where an error of the disk was that names no file."""
    return f"the disk of {os.environ.get('HW4_WORKSPACE') or 'this folder'}"


def debugging() -> bool:
    return os.environ.get("HW4_DEBUG", "0") not in ("", "0")


def _flag(error: WithRemedy) -> str:
    """The option that an error is about, as it is typed."""
    name = error.parameter if isinstance(error, UsageError) else ""
    return f"--{name.replace('_', '-')}: " if name else ""


def _keep_traceback(error: BaseException) -> str:
    """Write the traceback to a new file and return its path."""
    import tempfile
    import traceback

    descriptor, path = tempfile.mkstemp(prefix="hw4-traceback-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(f"hw4 {__version__}: {' '.join(sys.argv[1:])}\n\n")
        traceback.print_exception(error, file=file)
    return path
