"""Several runs are predicted in one pass: to the bit what each alone gives, and all or nothing."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.errors import DataError
from kaggle_hw4.inference import logits as module
from kaggle_hw4.inference.predict import Predictor, predict_logits, predict_together
from kaggle_hw4.models.build import build_model
from kaggle_hw4.progress import Progress, no_bar
from kaggle_hw4.recipe import PredictionConfig
from kaggle_hw4.runs import Run, find_runs
from kaggle_hw4.stages.predict import predict
from kaggle_hw4.workspace import Workspace
from tests.conftest import VARIANTS, tiny, trained

CPU = torch.device("cpu")
PLAN = PredictionConfig(
    weights="ema", segments=2, frames=[40], average="logits", spreading_neighbours=3
)
OTHER = ["predict.segments=2", "predict.frames=[40]"]  # than what the runs were trained with


@pytest.fixture(scope="module")
def finished(corpus: Corpus, folds: Folds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two seeds of both folds of boss, and one run of simple."""
    root = tmp_path_factory.mktemp("several")
    (root / "packed").symlink_to(corpus.folder)
    write_folds(root / "folds", folds, corpus)
    for seed in (0, 1):
        for fold in (0, 1):
            trained(tiny("boss"), corpus, folds, root / "runs", fold=fold, seed=seed)
    trained(tiny("simple"), corpus, folds, root / "runs", variant="simple")
    return root


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Workspace:
    """A copy of it that a test may change."""
    return Workspace(Path(shutil.copytree(finished, tmp_path / "w", symlinks=True)))


def files(run: Run) -> dict[str, str]:
    names = [*run.manifest().sha256, "run.json"]
    return {name: sha256_file(run.folder / name) for name in names}


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_models_in_one_pass_give_the_bits_of_each_alone(corpus: Corpus, precision: str) -> None:
    torch.manual_seed(0)
    models = [build_model(tiny(variant), 4) for variant in VARIANTS]
    for model in models:
        model.precision = precision
    store, rows = FrameStore(corpus, CPU), corpus.train[::2]
    together = predict_together([Predictor(model, PLAN) for model in models], store, rows)
    for model, logits in zip(models, together, strict=True):
        assert model.training
        np.testing.assert_array_equal(logits, predict_logits(model, store, rows, PLAN))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_runs_in_one_pass_are_those_of_a_pass_each(
    place: Workspace, finished: Path, tmp_path: Path, precision: str
) -> None:
    alone = Workspace(Path(shutil.copytree(finished, tmp_path / "alone", symlinks=True)))
    for run in find_runs([alone.runs]):
        predict(alone, [run.folder], OTHER, "cpu", precision)
    predicted = predict(place, [place.runs], OTHER, "cpu", precision)
    assert [each.run for each in predicted] == find_runs([place.runs])
    expected = [files(run) for run in find_runs([alone.runs])]
    assert [files(run) for run in find_runs([place.runs])] == expected


def test_a_batch_is_gathered_once_for_all_runs_of_its_rows(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    original = module.predict_alone

    def counting(predictors, *others):  # type: ignore[no-untyped-def]
        passes.append(len(predictors))
        return original(predictors, *others)

    monkeypatch.setattr(module, "predict_alone", counting)
    predict(place, [place.runs], OTHER)
    # Fold 0: three runs, OOF and seen-session; fold 1: two; the test set: all five.
    assert sorted(passes) == [2, 2, 3, 3, 5]
    passes.clear()
    monkeypatch.setattr(module, "MODELS", 2)
    predict(place, [place.runs], OTHER)
    assert max(passes) == 2


def test_opening_and_every_pass_are_shown(place: Workspace) -> None:
    stages: list[str] = []

    def bar(name: str) -> Progress:
        stages.append(name)
        return no_bar(name)

    predict(place, [place.runs], OTHER, bar=bar)
    assert stages == ["opening (MB)", *["prediction"] * 5]


def spoil_weights(run: Run) -> None:
    (run.folder / "ema.safetensors").write_bytes(b"junk")


def spoil_recipe(run: Run) -> None:
    path = run.folder / "recipe.toml"
    path.write_text(path.read_text().replace("margin = 0.2", "margin = 0.3"))


def spoil_folds(run: Run) -> None:
    manifest = run.manifest()
    folds = manifest.folds.model_copy(update={"name": "session7"})
    run.write_manifest(manifest.model_copy(update={"folds": folds}))


def spoil_corpus(run: Run) -> None:
    run.write_manifest(run.manifest().model_copy(update={"corpus": "another"}))


@pytest.mark.parametrize("spoil", [spoil_weights, spoil_recipe, spoil_folds, spoil_corpus])
def test_a_run_that_cannot_be_predicted_is_named_before_any_is(
    place: Workspace, spoil: Callable[[Run], None]
) -> None:
    *others, last = [run for run in find_runs([place.runs]) if run.variant == "boss"]
    spoil(last)
    before = [files(run) for run in others]
    with pytest.raises(DataError, match=last.folder.name):
        predict(place, [place.runs], OTHER)
    assert [files(run) for run in others] == before
    assert not list(place.runs.rglob("*.new"))


def test_a_failure_between_two_runs_leaves_each_as_it_was_or_new(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = find_runs([place.runs])
    before = {run: files(run) for run in runs}
    original, written = Run.write_logits, []

    def failing(run, name, logits):  # type: ignore[no-untyped-def]
        written.append(run)
        if len(set(written)) == 3 and name == "test":
            raise OSError("the disk is full")
        return original(run, name, logits)

    monkeypatch.setattr(Run, "write_logits", failing)
    with pytest.raises(OSError, match="disk is full"):
        predict(place, [place.runs], OTHER)
    assert not list(place.runs.rglob("*.new"))
    segments = [run.manifest().prediction.config.segments for run in runs]
    assert [s == 2 for s in segments].count(True) == 2
    for run, now in zip(runs, segments, strict=True):
        assert (files(run) == before[run]) == (now != 2)
        for name in ("oof", "seen_session", "test"):
            run.read_logits(name)


@pytest.mark.parametrize("call", ["settle", "write_manifest"])
def test_a_kill_around_a_manifest_leaves_every_run_as_it_was_or_new(
    place: Workspace, call: str
) -> None:
    """The second run's logits are pending: its manifest is not written yet, or is just written."""
    runs = find_runs([place.runs])
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from kaggle_hw4 import runs\nfrom kaggle_hw4.stages.predict import predict\n"
        "from kaggle_hw4.workspace import Workspace\n"
        f"original, calls = runs.{call}, []\n"
        "def killed(*args):\n"
        "    calls.append(args)\n"
        f"    if len(calls) == 2: os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "    return original(*args)\n"
        f"runs.{call} = killed\nplace = Workspace(Path(sys.argv[1]))\n"
        f"predict(place, [place.runs], {OTHER})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place.root)], check=False)
    assert done.returncode == -signal.SIGKILL
    predicted = []
    for run in runs:
        predicted.append(run.manifest().prediction.config.segments == 2)
        for name in ("oof", "seen_session", "test"):
            run.read_logits(name)
    assert predicted.count(True) == (2 if call == "settle" else 1)
