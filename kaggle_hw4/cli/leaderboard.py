"""hw4 leaderboard: record, import, sync, forget, show, choose."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.board import render_board, render_finals
from kaggle_hw4.cli.hints import next_step
from kaggle_hw4.cli.options import AsJson, Root, choice
from kaggle_hw4.cli.output import page, percent, say, show, table
from kaggle_hw4.cli.submissions import BOARD_NAMES
from kaggle_hw4.errors import DataError
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.kaggle.events import Forgotten
    from kaggle_hw4.kaggle.fetch import Fetched
    from kaggle_hw4.kaggle.sync import News
    from kaggle_hw4.stages.board import Board, Recorded

PROBLEMS = 3  # files that could not be fetched, of which each is named

leaderboard = typer.Typer(help="The submissions and their scores.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(leaderboard, name="leaderboard")


@leaderboard.command("record")
def record_command(
    version: Annotated[str, typer.Argument(help="Which submission, as Boss_V1.")],
    public: Annotated[
        float | None, typer.Option(metavar="SCORE", help="Its public score, as 0.78825.")
    ] = None,
    private: Annotated[
        float | None, typer.Option(metavar="SCORE", help="Its private score.")
    ] = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Record by hand what Kaggle's board says of a submission.

    Example: hw4 leaderboard record Boss_V1 --public 0.78825 --private 0.78275
    """
    from kaggle_hw4.stages.board import record_score

    recorded = record_score(Workspace.at(workspace), version, public, private)
    show(recorded, as_json, lambda: _recorded(recorded), "hw4 leaderboard show")


def _recorded(recorded: "Recorded") -> str:
    old = ", ".join(f"{half} {score:.5f}" for half, score in recorded.replaced.items())
    return f"{recorded.scored.version} is recorded" + (f", in the place of {old}" if old else "")


@leaderboard.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="A listing, a copied page, or file,private,public.")],
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Take scores from a file into the ledger.

    The client's CSV listing, the table copied from the Submissions page, or a plain list. Lines
    that are no submission are named, and the exit code is 4; all others are imported. A line whose
    file has the name of one that was made here and never sent is kept as another submission.

    Example: hw4 leaderboard import examples/past_scores.csv --workspace tour
    """
    from kaggle_hw4.stages.board import import_scores

    imported = import_scores(Workspace.at(workspace), file)
    news, left_out = imported.news, imported.problems
    show(news, as_json, lambda: _news(news), "hw4 leaderboard show")
    if left_out:
        what = f"{file}: {len(left_out)} of its lines left out"
        raise DataError(what, "correct and import it again", left_out)


@leaderboard.command("sync")
def sync_command(workspace: Root = None, as_json: AsJson = False) -> None:
    """Take Kaggle's list of your submissions into the ledger.

    The files of those that were made elsewhere are fetched: with both files, the interval of a
    difference is narrower.

    Example: hw4 leaderboard sync
    """
    from kaggle_hw4.stages.board import synchronise

    with bars("sync") as bar:
        synchronised = synchronise(Workspace.at(workspace), bar("files"))
    news = synchronised.news
    _say_files(synchronised.files)
    show(news, as_json, lambda: _news(news), "hw4 leaderboard show")


def _say_files(files: "Fetched") -> None:
    if files.versions:
        say(f"fetched the files of {len(files.versions)} submissions")
    for problem in files.problems[:PROBLEMS]:
        say(f"not fetched: {problem}")
    if more := files.problems[PROBLEMS:]:
        say(f"not fetched: {len(more)} more")


def _news(news: "Sequence[News]") -> Any:
    if not news:
        return "Kaggle lists no submissions yet"
    rows = [
        (
            line.version,
            percent(line.public),
            percent(line.private),
            line.status,
            "adopted" if line.adopted else "new" if line.news else "known",
        )
        for line in news
    ]
    notes = (_unlike(line.unlike, line.version) for line in news if line.unlike)
    return page(table(("submission", "public>", "private>", "status", ""), rows), *notes)


def _unlike(version: str, imported: str) -> str:
    return (
        f"{version} was never sent, as far as hw4 knows: the listed one is kept as {imported}; "
        f"if it is {version}, say so: hw4 leaderboard record {version}"
    )


@leaderboard.command("forget")
def forget_command(
    version: Annotated[str, typer.Argument(help="Which submission, as Boss_V1.")],
    board: Annotated[
        str, choice("kaggle", "local", text="The board that it is taken off.")
    ] = "kaggle",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Take a submission off the board, with its scores there.

    It then counts as never sent. Its file and its validation stay; one that was imported is gone,
    until a list that has it is imported again.

    Example: hw4 leaderboard forget Boss_V1
    """
    from kaggle_hw4.stages.board import forget

    forgotten = forget(Workspace.at(workspace), version, board)
    show(forgotten, as_json, lambda: _forgotten(forgotten), "hw4 leaderboard show")


def _forgotten(forgotten: "Forgotten") -> str:
    scores = {"public": percent(forgotten.public), "private": percent(forgotten.private)}
    had = ", ".join(f"{half} {score}" for half, score in scores.items() if score)
    text = f"{forgotten.version} is taken off {BOARD_NAMES[forgotten.board]}"
    return f"{text}: {had}" if had else f"{text}, without a score"


@leaderboard.command("show")
def show_command(workspace: Root = None, as_json: AsJson = False) -> None:
    """Show the submissions among the four baselines.

    With what is noise between them, how validation has tracked the board, and what to expect of
    a submission not yet sent.

    Example: hw4 leaderboard show
    """
    from kaggle_hw4.stages.board import read_board

    place = Workspace.at(workspace)
    board = read_board(place)
    for problem in board.problems:
        say(f"warning: {problem}; the rest is shown")
    show(board, as_json, lambda: render_board(board), _after(place, board))


def _after(place: Workspace, board: "Board") -> str:
    """The next command: with nothing submitted to make a submission, with two to choose."""
    if board.neighbours:
        return "hw4 leaderboard choose"
    return "" if board.submissions else next_step(place)


@leaderboard.command("choose")
def choose_command(workspace: Root = None, as_json: AsJson = False) -> None:
    """Propose the two submissions to select as final.

    From public scores and validation alone; private scores, where they are known, only serve
    to say afterwards what the choice was worth.

    Example: hw4 leaderboard choose
    """
    from kaggle_hw4.stages.board import choose_finals

    finals = choose_finals(Workspace.at(workspace))
    show(finals, as_json, lambda: render_finals(finals))
