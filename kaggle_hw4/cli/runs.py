"""hw4 runs: what is done with finished runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaggle_hw4.cli.options import AsJson, Root
from kaggle_hw4.cli.output import show
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.stages.clean import Freed

app = typer.Typer(help="Finished runs: free the room of their checkpoints.", no_args_is_help=True)


@app.command("clean")
def clean_command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs, or folders of runs; else all there are."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; else only say.")] = False,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Free the room of finished runs' checkpoints.

    Says what it would free first; --yes deletes. A checkpoint of an unfinished run stays.

    Example: hw4 runs clean --yes
    """
    from kaggle_hw4.stages.clean import clean

    place = Workspace.at(workspace)
    freed = clean(runs or place.run_folders or [place.runs], yes)
    again = "hw4 runs clean --yes" if freed.checkpoints and not yes else ""
    show(freed, as_json, lambda: _freed(freed), again)


def _freed(freed: "Freed") -> str:
    verb = "freed" if freed.deleted else "could be freed"
    return f"{len(freed.checkpoints)} checkpoints, {freed.bytes / 1e6:.1f} MB {verb}"
