"""The workspaces of releases: every reader opens them and gets the same figures, for ever."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from kaggle_hw4.cli.output import plain
from kaggle_hw4.data.corpus import open_corpus
from kaggle_hw4.data.folds import read_folds
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.kaggle.submissions import read_submission
from kaggle_hw4.models.build import build_model
from kaggle_hw4.runs import Run, find_runs
from kaggle_hw4.stages.board import read_board
from kaggle_hw4.training.checkpoint import State, load_checkpoint
from kaggle_hw4.training.optimizer import make_optimizer
from kaggle_hw4.tuning.tune import read_summary
from kaggle_hw4.workspace import Workspace

RELEASES = sorted(Path(__file__).parent.glob("release_*"))
# (release, reader) → the words of the error, where a later version refuses that format.
REFUSED: Mapping[tuple[str, str], str] = {}
CHANGED = """
{reader} of {release} is no longer read as it was when that release was made ({why}).
If that was not meant, mend the reader: people have such files.
If a format was changed on purpose: raise its version; have its reader refuse the old one in one
line that says what to do; add that line to REFUSED in tests/test_release.py; and keep a folder of
the new release beside the old one: python -m tests.release_0_3.make tests/release_NEW
"""


def corpus(place: Workspace) -> Any:
    opened = open_corpus(place.corpus)
    return {
        "hash": opened.hash,
        "speakers": opened.speakers,
        "ids": opened.ids,
        "labels": opened.labels.tolist(),
        "lengths": opened.lengths.tolist(),
        "level": float(opened.frames.float().mean()),
    }


def folds(place: Workspace) -> Any:
    table = read_folds(place.folds / "session2.csv", open_corpus(place.corpus))
    return {"hash": table.hash, "by": table.by, "fold": table.fold.tolist()}


def finished_run(place: Workspace) -> Any:
    run = next(run for run in find_runs([place.runs]) if run.done)
    logits = {name: run.read_logits(name) for name in ("oof", "test")}
    weights = network(place, run).model
    read_weights(run.folder / "best.safetensors", weights)
    return {
        "manifest": plain(run.manifest()),
        "recipe": run.recipe().hash,
        "steps": [line["step"] for line in run.logged()],
        "logits": {name: (each.ids, each.values.tolist()) for name, each in logits.items()},
        "weights": total(weights),
    }


def unfinished_run(place: Workspace) -> Any:
    """What its checkpoint resumes with."""
    run = next(run for run in find_runs([place.runs]) if not run.done)
    state = network(place, run)
    load_checkpoint(run.checkpoint, state, torch.device("cpu"))
    return {"step": state.step, "best": state.best, "weights": total(state.ema)}


def network(place: Workspace, run: Run) -> State:
    recipe, opened = run.recipe(), open_corpus(place.corpus)
    model = build_model(recipe, len(opened.speakers), opened.n_mels)
    return State.start(model, make_optimizer(model, recipe.optimizer), torch.device("cpu"))


def total(model: torch.nn.Module) -> float:
    return sum(float(parameter.detach().abs().sum()) for parameter in model.parameters())


def study(place: Workspace) -> Any:
    return plain(read_summary(place.studies / "boss", None))


def ledger(place: Workspace) -> Any:
    opened = Ledger(place.submissions)
    return {"events": plain(opened.events()), "problems": opened.problems()}


def submission(place: Workspace) -> Any:
    return read_submission(place.submissions / "output_Boss_V1.csv")


def board(place: Workspace) -> Any:
    return plain(read_board(place).submissions)


READERS: Mapping[str, Callable[[Workspace], Any]] = {
    reader.__name__: reader
    for reader in (
        corpus, folds, finished_run, unfinished_run, study, ledger, submission, board,
    )
}  # fmt: skip


def figures(reader: str, place: Workspace) -> Any:
    """What a reader says, as JSON has it; paths within the workspace."""
    text = json.dumps(plain(READERS[reader](place)))
    return json.loads(text.replace(f"{place.root}/", ""))


def same(value: Any, expected: Any) -> bool:
    """Equal, numbers but for the last digits, which a sum on another machine may change."""
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(same(value[k], expected[k]) for k in value)
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(map(same, value, expected))
    if isinstance(value, float) and isinstance(expected, float):
        return math.isclose(value, expected, rel_tol=1e-5, abs_tol=1e-9)
    return bool(value == expected)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_the_files_of_a_release_are_read_as_they_were(
    release: Path, reader: str, tmp_path: Path
) -> None:
    place = Workspace(Path(shutil.copytree(release / "workspace", tmp_path / "workspace")))
    expected = json.loads((release / "expected.json").read_text())
    if words := REFUSED.get((release.name, reader)):
        with pytest.raises(Exception, match=words):
            READERS[reader](place)
        return
    try:
        value = figures(reader, place)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        pytest.fail(CHANGED.format(reader=reader, release=release.name, why=why))
    if not same(value, expected[reader]):
        pytest.fail(CHANGED.format(reader=reader, release=release.name, why="other figures"))


def test_there_is_a_release_and_it_is_small() -> None:
    assert RELEASES
    for release in RELEASES:
        sizes = [path.stat().st_size for path in release.rglob("*") if path.is_file()]
        assert sum(sizes) < 320_000
