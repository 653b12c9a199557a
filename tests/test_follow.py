"""hw4 runs export --follow: TensorBoard's files grow with the training."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.errors import Interrupted
from kaggle_hw4.locks import locked
from kaggle_hw4.runs import Run
from kaggle_hw4.stages import follow as following
from kaggle_hw4.stages.follow import follow
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny, trained
from tests.test_cli import run
from tests.test_export import read_events


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that has logged its first line."""
    monkeypatch.setattr(following, "PATIENCE", 0)
    monkeypatch.setattr(following, "EVERY", 0)
    begun = Run(tmp_path / "runs" / "boss-1a2b3c4d" / "fold0-seed0")
    begun.folder.mkdir(parents=True)
    begun.write_recipe(tiny("boss"))
    begun.log({"step": 1, "loss": 3.0, "seconds": 1.0})
    return begun


def scalars(folder: Path) -> list[tuple[int, float]]:
    """(step, value) of all event files below `folder`."""
    paths = sorted(folder.rglob("events.out.tfevents.*"))
    events = [event for path in paths for event in read_events(path)]
    return [(event.step, v.simple_value) for event in events for v in event.summary.value]


def test_a_new_line_and_a_new_run_are_in_the_files_after_the_next_look(
    begun: Run, tmp_path: Path
) -> None:
    looks = follow(Workspace(tmp_path), [tmp_path / "runs"])
    with locked(begun.lock):
        assert next(looks).lines == 1
        assert scalars(tmp_path / "tensorboard") == [(1, 3.0)]
        begun.log({"step": 2, "loss": 2.0, "seconds": 2.0})
        assert next(looks).lines == 2
        assert scalars(tmp_path / "tensorboard") == [(1, 3.0), (2, 2.0)]
        second = Run(begun.folder.with_name("fold1-seed0"))
        second.folder.mkdir()
        second.write_recipe(tiny("boss"))
        second.log({"step": 1, "loss": 4.0, "seconds": 1.0})
        assert next(looks).runs == 2
        assert scalars(tmp_path / "tensorboard" / second.name) == [(1, 4.0)]
    looks.close()


def test_lines_that_a_resumed_training_dropped_are_dropped_from_the_file(
    begun: Run, tmp_path: Path
) -> None:
    looks = follow(Workspace(tmp_path), [tmp_path / "runs"])
    begun.log({"step": 2, "loss": 2.0, "seconds": 2.0})
    next(looks)
    begun.cut_log(1)
    begun.log({"step": 2, "loss": 2.5, "seconds": 9.0})
    next(looks)
    assert scalars(tmp_path / "tensorboard") == [(1, 3.0), (2, 2.5)]
    looks.close()


def test_it_ends_when_no_run_is_being_trained(begun: Run, tmp_path: Path) -> None:
    looks = follow(Workspace(tmp_path), [tmp_path / "runs"])
    with locked(begun.lock):
        assert [next(looks).lines for _ in range(5)] == 5 * [1]
    assert len(list(looks)) <= 1


def test_the_command_ends_with_the_files_at_an_interrupt_too(
    corpus: Corpus,
    folds: Folds,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    finished = trained(tiny("boss"), corpus, folds, tmp_path / "runs")
    count = len(finished.metrics.read_text().splitlines())

    def interrupted(*given: object) -> Iterator[object]:
        yield next(follow(*given))  # type: ignore[arg-type]
        raise Interrupted("stopped")

    monkeypatch.setattr(following, "follow", interrupted)
    assert run("runs", "export", "--follow", "--workspace", tmp_path, "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["lines"] == count
    assert "tensorboard --logdir" in shown.err
    assert scalars(tmp_path / "tensorboard")
    assert run("runs", "export", "--follow", "--format", "csv", "--workspace", tmp_path) == 2
    assert "--format: a CSV is written once; leave --follow out" in capsys.readouterr().err
