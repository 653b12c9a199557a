"""Training: the same seed gives the same bits, also across a stop, a kill and a resume."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.errors import DataError, Interrupted, RecipeError, Stopped, UsageError
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.metrics import Evaluation, evaluate
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.encoders import ENCODERS
from kaggle_hw4.runs import Run
from kaggle_hw4.training import loop
from kaggle_hw4.training.checkpoint import State, load_checkpoint, save_checkpoint
from kaggle_hw4.training.loop import start, train_run
from kaggle_hw4.training.optimizer import make_optimizer
from tests.conftest import SHAPES, TINY, Silent, job, tiny, tiny_of, trained
from tests.held import COMMAND, Hold

CPU = torch.device("cpu")
ARTIFACTS = ("best", "ema", "oof", "test")


def bits(run: Run) -> dict[str, str]:
    return {name: sha256_file(run.folder / f"{name}.safetensors") for name in ARTIFACTS}


def log(run: Run) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_same_seed_gives_the_same_bits(
    corpus: Corpus, folds: Folds, tmp_path: Path, encoder: str
) -> None:
    recipe = tiny_of(encoder)
    once, again, other = (
        trained(recipe, corpus, folds, tmp_path / name, seed=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert bits(once) == bits(again)
    assert bits(once) != bits(other)


class SignalAt(Silent):
    """A monitor that sends its own process a signal at a step."""

    def __init__(self, step: int, number: int) -> None:
        super().__init__()
        self.step, self.number = step, number

    def report(self, step: int, figures: dict[str, float]) -> None:
        super().report(step, figures)
        if step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGTERM, Stopped), (signal.SIGINT, Interrupted), (signal.SIGHUP, Stopped)],
)
def test_a_stopped_run_resumes_to_the_same_bits(
    corpus: Corpus, folds: Folds, tmp_path: Path, encoder: str, number: int, error: type[Exception]
) -> None:
    recipe = tiny_of(encoder, "networks.dropout=0.1", "schedule.steps=6")
    whole = trained(recipe, corpus, folds, tmp_path / "whole")
    stopped = job(recipe, corpus, folds, tmp_path / "stopped")
    with pytest.raises(error, match="the same command resumes it"):
        train_run(*stopped, CPU, SignalAt(2, number))
    assert not stopped.run.done
    monitor = Silent()
    train_run(*stopped, CPU, monitor)
    assert monitor.done == 2
    assert bits(stopped.run) == bits(whole)
    assert log(stopped.run) == log(whole)


@pytest.fixture(scope="module")
def fold_table(corpus: Corpus, folds: Folds) -> Path:
    """The folds beside the corpus, for processes of their own."""
    return write_folds(corpus.folder.parent / "folds", folds, corpus)


@pytest.mark.parametrize("variant", ["strong", "zoo/bilstm", "zoo/gat"])
@pytest.mark.usefixtures("fold_table")
def test_a_killed_run_resumes_to_the_same_bits(
    corpus: Corpus, folds: Folds, tmp_path: Path, variant: str
) -> None:
    settings = (*SHAPES.get(variant, TINY), "schedule.steps=120", "schedule.validate_every=20")
    recipe, stem, hold = tiny(variant, *settings), Path(variant).stem, Hold(tmp_path)
    command = [sys.executable, *COMMAND, "train", "--variant", variant]
    for setting in settings:
        command += ["-s", setting]
    run = job(recipe, corpus, folds, corpus.folder.parent / "runs", variant=stem).run
    environment = {**os.environ, "HW4_WORKSPACE": str(corpus.folder.parent), "OMP_NUM_THREADS": "1"}
    environment |= hold.environment
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, text=True)
    hold.wait(process, 180)
    process.kill()
    process.wait()
    hold.release()
    assert not run.done
    assert len(list(run.logged())) > 1, "one since the checkpoint, which the resumed one drops"
    again = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    whole = trained(recipe, corpus, folds, tmp_path, variant=stem)
    assert bits(run) == bits(whole)
    assert log(run) == log(whole)


def test_a_finished_run_is_left_alone(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    run = trained(tiny("simple"), corpus, folds, tmp_path)
    before = {p.name: p.stat().st_mtime_ns for p in run.folder.iterdir() if p.name != ".lock"}
    trained(tiny("simple"), corpus, folds, tmp_path)
    assert before == {
        p.name: p.stat().st_mtime_ns for p in run.folder.iterdir() if p.name != ".lock"
    }


def test_validation_is_whole_and_of_its_fold_alone(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    for fold in range(2):
        run = trained(tiny("boss"), corpus, folds, tmp_path, fold=fold)
        expected = [corpus.ids[row] for row in folds.validation(fold)]
        assert list(run.read_logits("oof").ids) == expected
        assert run.manifest().validation.n == len(expected)
        assert list(run.read_logits("test").ids) == [corpus.ids[row] for row in corpus.test]


def test_no_margin_in_validation_or_test(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    recipe = tiny("boss", "loss.margin=0.9", "loss.margin_warmup_steps=0")
    run = trained(recipe, corpus, folds, tmp_path)
    model = build_model(recipe, len(corpus.speakers))
    read_weights(run.folder / "ema.safetensors", model)
    rows = folds.validation(0)
    plain = predict_logits(model, FrameStore(corpus, CPU), rows, WHOLE)
    labels = corpus.labels[rows]
    assert np.array_equal(run.read_logits("oof").values, plain)
    values = torch.from_numpy(plain), torch.from_numpy(labels)
    losses, right = F.cross_entropy(*values, reduction="none").numpy(), plain.argmax(1) == labels
    speakers = np.unique(labels)
    loss, accuracy = (np.mean([x[labels == s].mean() for s in speakers]) for x in (losses, right))
    reported = log(run)[-1]
    assert reported["validation_loss"] == pytest.approx(loss, rel=1e-5)
    assert reported["validation_accuracy"] == pytest.approx(accuracy)


def test_best_is_a_copy_and_not_what_was_last(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    # The rate grows until it wrecks the weights: the best ones lie in the middle.
    settings = ("schedule.steps=60", "schedule.warmup_steps=60", "optimizer.learning_rate=0.3")
    settings += ("schedule.validate_every=5", "optimizer.clip_norm=0.0", "augment.noise=0.0")
    recipe = tiny("strong", *settings)
    parts = job(recipe, corpus, folds, tmp_path)
    monitor = Silent()
    manifest = train_run(*parts, CPU, monitor)
    seen = [f["validation_accuracy"] for _, f in monitor.reports if "validation_accuracy" in f]
    assert max(seen) > seen[-1], "this recipe must get worse for the test to say anything"
    model = build_model(recipe, len(corpus.speakers))
    read_weights(parts.run.folder / "best.safetensors", model)
    rows = folds.validation(0)
    logits = predict_logits(model, FrameStore(corpus, CPU), rows, WHOLE)
    assert evaluate(logits, corpus.labels[rows]).accuracy == max(seen)
    assert manifest.best_while_training == max(seen)
    assert bits(parts.run)["best"] != bits(parts.run)["ema"]


def test_each_of_several_networks_is_trained_as_if_it_were_alone(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    """Dropout, clipping, margin and noise included: the first of two is the only one of one."""
    one, two = (
        trained(
            tiny("boss", "networks.dropout=0.1", f"networks.count={n}"), corpus, folds, tmp_path
        )
        for n in (1, 2)
    )
    alone, beside = (load_file(run.folder / "ema.safetensors") for run in (one, two))
    assert len(beside) == 2 * len(alone)
    for name, value in alone.items():
        assert torch.equal(beside[name], value), name


def test_a_damaged_checkpoint_is_named(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    parts = job(tiny("simple"), corpus, folds, tmp_path)
    trained(tiny("simple"), corpus, folds, tmp_path)
    data = bytearray(parts.run.checkpoint.read_bytes())
    model = build_model(parts.recipe, 4)
    read_weights(parts.run.folder / "ema.safetensors", model)
    data[data.index(model.networks[0].encoder.stem.weight.detach().numpy().tobytes())] ^= 1
    parts.run.checkpoint.write_bytes(data)
    state = State.start(model, make_optimizer(model, parts.recipe.optimizer), CPU)
    with pytest.raises(DataError, match=r"checkpoint\.pt: not a checkpoint.*delete it"):
        load_checkpoint(parts.run.checkpoint, state, CPU)


def test_lost_best_weights_are_written_again_from_the_checkpoint(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    parts = job(tiny("simple"), corpus, folds, tmp_path)
    before = bits(trained(tiny("simple"), corpus, folds, tmp_path))
    (parts.run.folder / "run.json").unlink()
    (parts.run.folder / "best.safetensors").write_bytes(b"junk")
    train_run(*parts, CPU, Silent())
    assert bits(parts.run) == before


@pytest.mark.parametrize("kill_at", [1, 2, 3])
def test_a_kill_before_a_checkpoint_loses_no_run_even_where_sums_differ(
    corpus: Corpus, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    """Killed when validation has just improved, resumed where it never improves again."""
    recipe = tiny("strong", "schedule.steps=6", "predict.weights=best")
    parts = job(recipe, corpus, folds, tmp_path)
    saves = []

    class Killed(BaseException):
        pass

    def save(path: Path, state: State) -> None:
        saves.append(state.step)
        if len(saves) == kill_at:
            raise Killed
        save_checkpoint(path, state)

    accuracies = iter((0.3, 0.5, 0.7, *[0.2999] * 9))
    monkeypatch.setattr(loop, "save_checkpoint", save)
    monkeypatch.setattr(
        loop, "evaluate", lambda *_: Evaluation(next(accuracies), loss=1.0, n=len(corpus.ids))
    )
    with pytest.raises(Killed):
        train_run(*parts, CPU, Silent())
    accuracies = iter([0.2999] * 9)
    manifest = train_run(*parts, CPU, Silent())
    assert manifest.best_while_training == [0.2999, 0.3, 0.5][kill_at - 1]
    assert sha256_file(parts.run.folder / "best.safetensors") == manifest.sha256["best.safetensors"]


def test_a_step_that_needs_too_much_memory_is_named(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    recipe = tiny("simple", "segments.frames=1000000", "segments.batch_size=65536")
    with pytest.raises(RecipeError, match=r"more memory than there is; lower segments\.batch_size"):
        trained(recipe, corpus, folds, tmp_path)


def test_lines_after_the_checkpoint_are_dropped(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    parts = job(tiny("simple"), corpus, folds, tmp_path)
    with pytest.raises(Stopped):
        train_run(*parts, CPU, SignalAt(2, signal.SIGTERM))
    with parts.run.metrics.open("a") as file:
        file.write('{"step": 3, "loss": 1.0}\n{"step": 4, "lo')
    start(*parts[:3], CPU)
    assert [line["step"] for line in log(parts.run)] == [2]


def test_a_diverging_training_is_named(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    recipe = tiny("simple", "optimizer.learning_rate=1e30", "schedule.steps=8")
    with pytest.raises(RecipeError, match=r"diverged; lower optimizer\.learning_rate"):
        trained(recipe, corpus, folds, tmp_path)


def test_two_processes_do_not_train_one_run(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    parts = job(tiny("simple"), corpus, folds, tmp_path)

    class Second(Silent):
        def begin(self, name: str, done: int, total: int) -> None:
            with pytest.raises(UsageError, match="being trained by another process"):
                train_run(*parts, CPU, Silent())
            self.tried = True

    second = Second()
    train_run(*parts, CPU, second)
    assert second.tried
