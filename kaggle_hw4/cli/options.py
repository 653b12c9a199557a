"""Options that several commands share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kaggle_hw4.errors import UsageError
from kaggle_hw4.pace import clock_time, read_duration, write_line
from kaggle_hw4.signals import stopping_after
from kaggle_hw4.torchrun import this_process
from kaggle_hw4.workspace import Workspace

ORDER = (  # of the work
    "data", "split", "pretrain", "train", "predict", "runs", "tune", "compare", "pseudo-label",
    "ensemble", "submit", "leaderboard", "report", "run", "recipe", "doctor",
)  # fmt: skip


def choice(*names: str, text: str, flag: str = "") -> Any:
    """An option with these choices, for help and completion.

    What is none of them is refused where it is used, with the same sentence as from Python.
    """

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    flags = [flag] if flag else []
    metavar = f"[{'|'.join(names)}]"
    return typer.Option(*flags, metavar=metavar, help=text, autocompletion=complete)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Root = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        metavar="FOLDER",
        envvar="HW4_WORKSPACE",
        help="The folder that holds everything; else this one.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change a key of the recipe; may be repeated. `hw4 recipe` explains the keys.",
    ),
]
Device = Annotated[
    str, choice("auto", "cpu", "cuda", "mps", text="Where to compute; auto is the fastest.")
]
Precision = Annotated[
    str,
    choice("auto", "float32", "bf16", "fp16", text="Of large products; auto is the fastest."),
]
Variant = Annotated[
    str | None,
    typer.Argument(
        metavar="VARIANT",
        help="A name in pipelines/variants, or a .toml file.",
        show_default=False,
    ),
]
NamedVariant = Annotated[
    str | None, typer.Option("--variant", metavar="VARIANT", help="The same, by its name.")
]
Seeds = Annotated[
    list[int] | None,
    typer.Option(min=0, max=2**32 - 1, metavar="SEED", help="A seed, else 0; may be repeated."),
]
SplitName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The fold table, where there are several: session5."),
]


DryRun = Annotated[bool, typer.Option("--dry-run", help="Only estimate what it takes.")]
TimeLimit = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Choose steps and networks so that all is done by then."),
]
StopAfter = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION", help="Stop with a checkpoint after 90m, 11h or 1h30m; resumable."
    ),
]
On = Annotated[
    str | None,
    choice("local", "slurm", "ray", text="Train runs in processes of their own; else in this."),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Runs at a time; else one a device.")
]
SlurmOptions = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="KEY=VALUE", help="An option of sbatch; may be repeated."),
]


@contextmanager
def stopping(after: str | None) -> Iterator[None]:
    """Stop what is in the block after the duration that --stop-after names, and say so before."""
    seconds = None if after is None else read_duration(after, "stop_after")
    if seconds is not None and this_process().restarts:
        what = "torchrun would start again what has stopped after a time"
        raise UsageError(what, "leave it out, or torchrun's --max-restarts", "stop_after")
    if seconds is not None:
        stop = clock_time(seconds)
        write_line(f"it is {clock_time()}; stops at {stop}, and the same command resumes it")
    with stopping_after(seconds):
        yield


def one_variant(positional: str | None, named: str | None, example: str) -> str:
    """The variant, which is named once: by its place or by --variant. UsageError otherwise."""
    if positional and named and positional != named:
        raise UsageError(f"two variants are named, {positional} and {named}", "name one", "variant")
    variant = positional or named
    if variant is None:
        raise UsageError("--variant is missing", example)
    return variant


GroupsOfRuns = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUNS", help="Runs, folders of runs, or variants.", show_default=False),
]
RunsOfVariants = Annotated[
    list[str] | None,
    typer.Option("--variant", metavar="VARIANT", help="Runs of a variant; may be repeated."),
]


def folders_of_runs(
    workspace: Workspace, groups: Sequence[str] | None, variants: Sequence[str] | None, example: str
) -> list[Path]:
    """The folders of runs that are named, by place or by --variant. UsageError where none is."""
    names = [*(groups or ()), *(variants or ())]
    if not names:
        raise UsageError("no runs are named", example)
    return [path for name in names for path in workspace.groups_of_runs(name)]


class OrderOfWork(TyperGroup):
    """Commands are listed in the order in which they are used."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override] # noqa: ARG002
        known = [name for name in ORDER if name in self.commands]
        return known + [name for name in self.commands if name not in ORDER]


class VariantOrCommand(TyperGroup):
    """A group whose first word is a command of it, or else a variant: `hw4 tune boss`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        place = self._first_word(args)
        if place is not None and not self._names_command(args[place]):
            args = [*args[:place], "--variant", *args[place:]]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def _first_word(self, args: Sequence[str]) -> int | None:
        """The place of the first word that is no option and no value of one."""
        takes_value = {
            flag
            for parameter in self.params
            if not getattr(parameter, "is_flag", False)
            for flag in parameter.opts
        }
        place = 0
        while place < len(args):
            if not args[place].startswith("-"):
                return place
            place += 2 if args[place] in takes_value else 1
        return None

    def _names_command(self, word: str) -> bool:
        import difflib

        return bool(difflib.get_close_matches(word, list(self.commands), 1, 0.7))
