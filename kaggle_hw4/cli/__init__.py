"""The command line: parse, call, print; nothing else.

Heavy imports live inside the commands, so that `hw4 --help` is instant.
"""

import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from kaggle_hw4 import __version__
from kaggle_hw4.cli import chain, data, leaderboard, submissions, training, tuning
from kaggle_hw4.cli.output import complain
from kaggle_hw4.errors import DataError, Hw4Error, Interrupted, Stopped

app = typer.Typer(
    name="hw4",
    help="From the official folder of ML2022 Spring HW4 (who is speaking?) to the top of its "
    "leaderboard.\n\nExample: hw4 run pipelines/demo.toml",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich would take longer to import than all the rest
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(data.app, name="data")
training.add_to(app)
app.add_typer(tuning.app, name="tune")
submissions.add_to(app)
leaderboard.add_to(app)
chain.add_to(app)


def version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hw4 {__version__}")
        raise typer.Exit


@app.callback()
def root(
    workspace: Annotated[
        Path | None,
        typer.Option(help="The folder that holds everything; else HW4_WORKSPACE, else this one."),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Say which hw4.")
    ] = False,
) -> None:
    if workspace is not None:
        os.environ["HW4_WORKSPACE"] = str(workspace)


def stop(number: int, _frame: FrameType | None) -> None:
    """Unwind on a signal, so that what is half-written is taken away."""
    kind = Interrupted if number == signal.SIGINT else Stopped
    raise kind("stopped", "run the same command again")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors of ours become one line and their exit code."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without · and ± shows ? for them
            stream.reconfigure(errors="replace")
    try:
        app(arguments)
    except Hw4Error as error:
        complain(str(error), error.problems if isinstance(error, DataError) else ())
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `hw4 … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # a full disk, a folder that may not be written
        complain(f"{error.filename or 'the disk'}: {error.strerror or error}")
        sys.exit(DataError.exit_code)
