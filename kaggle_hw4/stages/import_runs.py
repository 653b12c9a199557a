"""From another machine's finished runs to this workspace's."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.artifact import read_file, verify, write_bytes
from kaggle_hw4.errors import DataError
from kaggle_hw4.locks import Timeout, locked
from kaggle_hw4.progress import Bar, counted, no_bar
from kaggle_hw4.runs import Run, find_runs
from kaggle_hw4.workspace import Workspace

FILES = ("recipe.toml", "metrics.jsonl", "worker.log")  # beside those that the manifest names


@dataclass(frozen=True)
class Imported:
    """Names of runs: what was taken over, what was here already, what is not finished there."""

    runs: tuple[str, ...]
    known: tuple[str, ...]
    unfinished: tuple[str, ...]


def import_runs(workspace: Workspace, paths: Iterable[Path], bar: Bar = no_bar) -> Imported:
    """Copy the finished runs below `paths` that are not here yet.

    All are checked before the first is copied. DataError where one is of another corpus or of a
    fold table that is not here, is damaged, or is another run than the one of its name here.
    """
    there = find_runs(paths)
    done = [run for run in there if run.done]
    if not done:
        raise DataError("there is no finished run to import", "wait until one is trained there")
    tables = _fold_tables(workspace)
    new = [run for run in counted(done, bar("check")) if _check(workspace, run, *tables)]
    for run in counted(new, bar("copy")):
        _copy(run, _here(workspace, run))
    return Imported(
        tuple(run.name for run in new),
        tuple(run.name for run in done if run not in new),
        tuple(run.name for run in there if not run.done),
    )


def _fold_tables(workspace: Workspace) -> tuple[str, dict[str, str]]:
    """The hashes of the corpus and, by name, of the fold tables that are here."""
    from kaggle_hw4.data.folds import read_folds
    from kaggle_hw4.stages.split import corpus_of

    corpus = corpus_of(workspace)
    tables = {path.stem: read_folds(path, corpus).hash for path in workspace.folds.glob("*.csv")}
    return corpus.hash, tables


def _check(workspace: Workspace, run: Run, corpus: str, tables: dict[str, str]) -> bool:
    """Whether it is to be copied; DataError where it must not be."""
    manifest = run.manifest()
    if manifest.corpus != corpus:
        what = f"{run.name} was trained on corpus {manifest.corpus}, this one is {corpus}"
        raise DataError(what, "pack the same dataset here, with the same version of hw4")
    if manifest.folds.hash not in tables.values():
        known = ", ".join(f"{name} {digest}" for name, digest in sorted(tables.items())) or "none"
        what = f"{run.name} was trained on the fold table {manifest.folds.name}"
        raise DataError(
            f"{what} {manifest.folds.hash}; here there are: {known}",
            f"copy folds/{manifest.folds.name}.* from there, or split with the same options",
        )
    for name, sha256 in manifest.sha256.items():
        verify(run.folder / name, sha256, "copy it again")
    here = _here(workspace, run)
    if here.done and here.manifest().sha256 != manifest.sha256:
        what = f"{run.name} is here already, and with other results"
        raise DataError(what, f"delete one of the two: {here.folder}")
    return not here.done


def _here(workspace: Workspace, run: Run) -> Run:
    return Run(workspace.runs / run.folder.parent.name / run.folder.name)


def _copy(run: Run, here: Run) -> None:
    """The manifest last, as a training would have left it."""
    here.folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(here.lock, timeout=0):
            names = [*(name for name in FILES if (run.folder / name).is_file())]
            for name in (*names, *run.manifest().sha256, "run.json"):
                write_bytes(here.folder / name, read_file(run.folder / name))
    except Timeout as error:
        what = f"{run.name} is being trained here"
        raise DataError(what, "stop that training, or wait for it") from error
