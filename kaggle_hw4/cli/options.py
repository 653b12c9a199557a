"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Root = Annotated[
    Path | None,
    typer.Option(
        "--workspace", envvar="HW4_WORKSPACE", help="The folder that holds everything; else this."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="SECTION.KEY=VALUE", help="Change a key of the recipe."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
