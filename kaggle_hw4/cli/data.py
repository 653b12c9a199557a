"""hw4 data: get a dataset, make one, pack it, look at it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, Root
from kaggle_hw4.cli.output import show, table
from kaggle_hw4.competition import DEFAULT
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import bars
from kaggle_hw4.workspace import Workspace

app = typer.Typer(help="Get a dataset, make one, pack it, look at it.", no_args_is_help=True)


@app.command()
def synth(
    folder: Annotated[Path, typer.Argument(help="Where to write it; must not exist yet.")],
    speakers: Annotated[int, typer.Option(min=2)] = 40,
    frames: Annotated[float, typer.Option(min=91, help="Median length, 10 ms each.")] = 300,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
    as_json: AsJson = False,
) -> None:
    """Write synthetic speakers in the official layout.

    Their test set is in unseen sessions; truth.csv, beside Dataset/, has its answers.

    Example: hw4 data synth corpus --speakers 40
    """
    from kaggle_hw4.synth.corpus import write_corpus

    with bars() as bar:
        made = write_corpus(
            folder, speakers=speakers, frames=frames, seed=seed, progress=bar("synth")
        )
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in made.items())
    show(made, as_json, lambda: f"{folder}: {counts}", f"hw4 data pack {folder}")


@app.command()
def download(
    folder: Annotated[
        Path | None, typer.Argument(help="Dataset/ will be in it; else in the workspace.")
    ] = None,
    competition: Annotated[str, typer.Option(help="Kaggle's name for it.")] = DEFAULT.slug,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Download the competition's files with the Kaggle client.

    They are unpacked safely. Needs the extra: pip install 'kaggle_hw4[kaggle]'

    Example: hw4 data download
    """
    from kaggle_hw4.kaggle.client import download as fetch

    with bars() as bar:
        into = folder or Workspace.at(workspace).root
        dataset = fetch(into, competition, progress=bar("download"))
    show({"dataset": str(dataset)}, as_json, lambda: str(dataset), f"hw4 data pack {dataset}")


@app.command()
def pack(
    dataset: Annotated[Path, typer.Argument(help="The folder with metadata.json.")],
    dtype: Annotated[str, typer.Option(help="float16 (half the size) or float32.")] = "float16",
    replace: Annotated[bool, typer.Option(help="Replace the corpus that is packed here.")] = False,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Check a dataset and pack it into one memory-mapped file.

    Every problem is named, and nothing is written then.

    Example: hw4 data pack Dataset
    """
    from kaggle_hw4.data.corpus import DTYPES
    from kaggle_hw4.data.corpus import pack as write

    if dtype not in DTYPES:
        raise UsageError(f"--dtype {dtype}: choose {' or '.join(DTYPES)}")
    place = Workspace.at(workspace)
    with bars() as bar:
        corpus = write(dataset, place.corpus, dtype=dtype, replace=replace, progress=bar("pack"))
    value = {
        "folder": str(corpus.folder),
        "hash": corpus.hash,
        "speakers": len(corpus.speakers),
        "train": len(corpus.train),
        "test": len(corpus.test),
    }
    show(
        value,
        as_json,
        lambda: (
            f"{place.shown(corpus.folder)}: {value['speakers']} speakers, {value['train']:,} "
            f"training and {value['test']:,} test utterances, corpus {corpus.hash}"
        ),
        "hw4 split --folds 5 --by session",
    )


@app.command()
def inspect(
    shift: Annotated[bool, typer.Option("--shift", help="Is the test of other sessions?")] = False,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Show counts, lengths, levels and balance of the corpus.

    With --shift: whether the test set comes from other recording sessions than the training set,
    how much of it, and what a random split would overstate.

    Example: hw4 data inspect --shift
    """
    from kaggle_hw4.data.inspection import inspect_corpus

    place = Workspace.at(workspace)
    following = "hw4 split --folds 5 --by session"
    if not shift:
        value = inspect_corpus(place.corpus)
        show(value, as_json, lambda: _inspection(value), following)
        return
    from kaggle_hw4.data.corpus import open_corpus
    from kaggle_hw4.data.shift import measure_shift

    corpus = open_corpus(place.corpus)
    with bars() as bar:
        found = {"hash": corpus.hash, **measure_shift(corpus, bar("sessions"))}
    show(found, as_json, lambda: _shift(found), following)


def _shift(found: dict[str, Any]) -> str:
    same, unseen, probe = (
        found[key] for key in ("nearest_is_of_the_same_set", "unseen_sessions", "linear_probe")
    )
    lines = [
        f"Unseen sessions: {unseen['share']:.0%} of the test set "
        f"(95 %: {unseen['low']:.0%} to {unseen['high']:.0%}).",
        "An utterance whose channel is most like a test utterance's is itself in the test set: "
        f"{same['the_test_set']:.1%}",
        f"  were the test set drawn at random from the training sessions: "
        f"{same['drawn_at_random']:.1%}",
        f"  were it recorded in sessions of its own: {same['whole_sessions']:.1%}",
        f"A linear probe reads {probe['utterance']:.3f} by utterance and {probe['session']:.3f} by "
        f"session ({probe['n']:,} utterances): a random split overstates it by "
        f"{100 * probe['overstated']:.1f} points.",
    ]
    return "\n".join(lines)


def _inspection(value: dict[str, Any]) -> Any:
    def cell(number: float) -> str:
        return f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"

    rows = [
        (section if i == 0 else "", key.replace("_", " "), cell(number))
        for section, figures in value.items()
        if isinstance(figures, dict)
        for i, (key, number) in enumerate(figures.items())
    ]
    return table(("", "of the corpus", value["hash"] + ">"), rows)
