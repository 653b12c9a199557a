"""hw4 data: download a dataset or synthesise one, pack it, inspect it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, Root, choice
from kaggle_hw4.cli.output import page, plain, show, table
from kaggle_hw4.competition import DEFAULT, Edition
from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import Bar, bars
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.inspection import Inspection
    from kaggle_hw4.data.shift import Shift

NAMES = {"touching_the_floor": "share with silence"}  # of figures, where the key says less
app = typer.Typer(
    help="Download a dataset or synthesise one, pack it, inspect it.", no_args_is_help=True
)


@app.command("synth")
def synth_command(
    folder: Annotated[Path, typer.Argument(help="Where to write it: a new folder.")],
    speakers: Annotated[int, typer.Option(min=2, metavar="N", help="The number of speakers.")] = 40,
    frames: Annotated[
        float, typer.Option(min=91, metavar="N", help="Median length in frames of 10 ms.")
    ] = 300,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, metavar="SEED", help="Another seed, other voices.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Write synthetic speakers in the official layout.

    Their test set is in unseen sessions; truth.csv, beside Dataset/, has its labels.

    Example: hw4 data synth corpus --speakers 40
    """
    with bars("synth") as bar:
        from kaggle_hw4.synth.corpus import write_corpus

        counts = write_corpus(
            folder, speakers=speakers, frames=frames, seed=seed, progress=bar("synth")
        )
    text = ", ".join(f"{count:,} {name}" for name, count in plain(counts).items())
    show(counts, as_json, lambda: f"{folder}: {text}", f"hw4 data pack {folder}")


@app.command("download")
def download_command(
    folder: Annotated[
        Path | None, typer.Argument(help="Dataset/ will be in it; else in the workspace.")
    ] = None,
    competition: Annotated[
        str, typer.Option(metavar="NAME", help="The competition as Kaggle's address names it.")
    ] = DEFAULT.slug,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Download the competition's files with the Kaggle client.

    They are unpacked safely. Needs the extra: pip install 'kaggle_hw4[kaggle]'

    Example: hw4 data download
    """
    from kaggle_hw4.kaggle.client import download

    with bars() as bar:
        into = folder or Workspace.at(workspace).root
        dataset = download(into, competition, progress=bar("download"))
    show({"dataset": str(dataset)}, as_json, lambda: str(dataset), f"hw4 data pack {dataset}")


@app.command("pack")
def pack_command(
    dataset: Annotated[Path, typer.Argument(help="The folder with metadata.json.")],
    dtype: Annotated[
        str, choice("float16", "float32", text="How frames are stored; float16 has half the size.")
    ] = "float16",
    replace: Annotated[
        bool, typer.Option(help="Replace the corpus of another dataset, if there is one.")
    ] = False,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Check a dataset and pack it into one memory-mapped file.

    If the dataset has problems, all of them are listed and nothing is written.

    Example: hw4 data pack Dataset
    """
    place = Workspace.at(workspace)
    with bars("pack") as bar:
        from kaggle_hw4.data.corpus import DTYPES, pack

        if dtype not in DTYPES:
            raise UsageError(f"--dtype {dtype}: choose {' or '.join(DTYPES)}")
        corpus = pack(dataset, place.corpus, dtype=dtype, replace=replace, bar=bar)
    value = {
        "folder": str(corpus.folder),
        "hash": corpus.hash,
        "edition": corpus.edition.year if corpus.edition else None,
        "speakers": len(corpus.speakers),
        "train": len(corpus.train),
        "test": len(corpus.test),
    }
    show(value, as_json, lambda: _corpus_line(place, corpus), "hw4 split")


@app.command("inspect")
def inspect_command(
    shift: Annotated[
        bool,
        typer.Option("--shift", help="Measure how much of the test set is from unseen sessions."),
    ] = False,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Show counts, lengths, levels and balance of the corpus.

    With --shift: how much of the test set comes from recording sessions that are not in the
    training set, and by how much a random split overestimates.

    Example: hw4 data inspect --shift
    """
    with bars("inspect") as bar:
        from kaggle_hw4.data.corpus import open_corpus

        corpus = open_corpus(Workspace.at(workspace).corpus, bar)
        value, render = _measure_shift(corpus, bar) if shift else _inspect(corpus)
    show(value, as_json, render, "hw4 split")


def _measure_shift(corpus: "Corpus", bar: Bar) -> tuple["Shift", Callable[[], Any]]:
    from kaggle_hw4.data.shift import measure_shift

    shift = measure_shift(corpus, bar)
    return shift, lambda: _shift_text(shift)


def _inspect(corpus: "Corpus") -> tuple["Inspection", Callable[[], Any]]:
    from kaggle_hw4.data.inspection import inspect_corpus

    inspection = inspect_corpus(corpus)
    return inspection, lambda: _inspection_table(inspection, corpus.edition)


def _corpus_line(place: Workspace, corpus: "Corpus") -> str:
    return (
        f"{place.shown(corpus.folder)}: {len(corpus.speakers)} speakers, {len(corpus.train):,} "
        f"training and {len(corpus.test):,} test utterances, {_edition_name(corpus.edition)}, "
        f"corpus {corpus.hash}"
    )


def _edition_name(edition: "Edition | None") -> str:
    return f"edition {edition.year}" if edition else "no edition of the competition"


def _shift_text(shift: "Shift") -> Any:
    near, unseen, probe = shift.nearness, shift.unseen_sessions, shift.linear_probe
    lines = [
        f"Unseen sessions: {unseen.share:.0%} of the test set "
        f"(95 % interval: {unseen.low:.0%} to {unseen.high:.0%}).",
        "Channel distance of a test utterance to its nearest training utterance, relative to its "
        f"twentieth nearest: {near.test_set:.3f} (median)",
        f"  expected in sessions of the training set: {near.seen:.3f}",
        f"  expected in unseen sessions: {near.unseen:.3f}",
        f"A linear probe scores {probe.utterance:.3f} by utterance and {probe.session:.3f} by "
        f"session ({probe.n:,} utterances): a random split overstates it by "
        f"{100 * probe.bias:.1f} points.",
    ]
    return page(*lines)


def _inspection_table(inspection: "Inspection", edition: "Edition | None") -> Any:
    def cell(number: float) -> str:
        return f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"

    sections = {k: figures for k, figures in plain(inspection).items() if isinstance(figures, dict)}
    rows = [
        (
            section.replace("_", " ") if i == 0 else "",
            NAMES.get(key, key.replace("_", " ")),
            cell(number),
        )
        for section, figures in sections.items()
        for i, (key, number) in enumerate(figures.items())
    ]
    columns = ("", f"corpus {inspection.hash}", ">")
    return table(columns, rows, title=_edition_name(edition).capitalize())
