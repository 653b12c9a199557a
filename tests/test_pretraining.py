"""Pretraining: every objective learns from frames alone, and what is hidden stays hidden."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.errors import DataError, RecipeError, Stopped, UsageError
from kaggle_hw4.inference.weights import encoders_bytes, initialise_encoders
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.encoders import ENCODERS
from kaggle_hw4.pretraining.batches import FrameBatch, FrameBatches
from kaggle_hw4.pretraining.counts import co_occurrences, embed_counts
from kaggle_hw4.pretraining.loop import PretrainingStep, pretrain_run, rows_of, start
from kaggle_hw4.pretraining.model import Pretrainer, build_pretrainer, unit_frames
from kaggle_hw4.pretraining.recipe import OBJECTIVES, PretrainingRecipe, read_pretraining_recipe
from kaggle_hw4.pretraining.run import PretrainingRun, find_pretrainings
from kaggle_hw4.stages.clean import clean
from kaggle_hw4.stages.list_pretrainings import list_pretrainings
from kaggle_hw4.training.step import seed_step
from kaggle_hw4.workspace import Workspace, shipped
from tests.conftest import TINY, Silent, tiny_of
from tests.test_graphs import Recorder

CPU = torch.device("cpu")
BOSS = shipped("pipelines/variants/boss.toml")


def recipe_of(objective: str, *settings: str, transductive: bool = False) -> PretrainingRecipe:
    small = ["segments.frames=60", "schedule.steps=4"]
    if objective in ("cbow", "skip_gram", "counts"):
        small.append("pretraining.window=2")
    if objective == "masked":
        small.append("pretraining.span=2")
    if objective == "counts":
        small += ["pretraining.codes=8", "pretraining.width=4"]
    words = [*TINY, *small, *settings]
    return read_pretraining_recipe(BOSS, objective, None, transductive, words)


def run_of(recipe: PretrainingRecipe, corpus: Corpus, folds: Folds, runs: Path) -> PretrainingRun:
    inputs = [corpus.hash, folds.hash]
    return PretrainingRun.of(runs, f"boss-{recipe.pretraining.objective}", recipe, inputs, 0, 0)


def pretrained(
    recipe: PretrainingRecipe, corpus: Corpus, folds: Folds, runs: Path
) -> PretrainingRun:
    run = run_of(recipe, corpus, folds, runs)
    pretrain_run(run, recipe, corpus, folds, CPU, Silent())
    return run


def batch_of(
    recipe: PretrainingRecipe, corpus: Corpus, folds: Folds
) -> tuple[Pretrainer, FrameBatch]:
    torch.manual_seed(0)
    model = build_pretrainer(recipe, corpus.n_mels)
    objective = model.networks[0].objective
    batches = FrameBatches(FrameStore(corpus, CPU), folds.training(0), recipe, objective, 0)
    return model, batches.at(0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_of_every_objective_falls(
    corpus: Corpus, folds: Folds, tmp_path: Path, objective: str
) -> None:
    settings = ("schedule.steps=60", "schedule.validate_every=10", "optimizer.learning_rate=0.005")
    run = pretrained(recipe_of(objective, *settings), corpus, folds, tmp_path)
    lines = list(run.logged())
    validated = [line["validation_loss"] for line in lines if "validation_loss" in line]
    assert validated[-1] < validated[0]
    assert lines[-1]["explained"] > lines[0]["explained"]
    assert run.manifest().explained == pytest.approx(lines[-1]["validation_explained"])


@pytest.mark.parametrize("objective", ["masked", "cbow", "skip_gram"])
@pytest.mark.parametrize("normalisation", ["none", "mean", "mean_variance"])
def test_what_is_hidden_never_reaches_the_encoder(
    corpus: Corpus, folds: Folds, objective: str, normalisation: str
) -> None:
    recipe = recipe_of(objective, f"features.normalisation={normalisation}")
    model, batch = batch_of(recipe, corpus, folds)
    assert batch.hidden is not None
    hidden = batch.hidden.repeat_interleave(2, 1)
    assert 0 < hidden.float().mean() < 0.8
    other = torch.where(
        hidden.unsqueeze(-1), 1e3 * torch.randn_like(batch.features), batch.features
    )
    network = model.networks[0]
    seen = network.visible(batch)
    assert torch.equal(seen, network.visible(FrameBatch(other, batch.mask, batch.hidden, None)))
    assert not seen[hidden].any()
    assert seen[~hidden].any()


@pytest.mark.parametrize("objective", ["masked", "cbow", "skip_gram"])
def test_only_hidden_frames_count(corpus: Corpus, folds: Folds, objective: str) -> None:
    model, batch = batch_of(recipe_of(objective), corpus, folds)
    assert batch.hidden is not None
    frames, _ = unit_frames(batch.features, batch.mask)
    outcome = model.outcome_of(model.networks[0], batch)
    targets = outcome.target[outcome.counts]
    assert len(targets)
    hidden = frames[batch.hidden]
    assert all((hidden == target).all(-1).any() for target in targets)


def test_padding_changes_no_figure(corpus: Corpus, folds: Folds) -> None:
    for objective in OBJECTIVES:
        model, batch = batch_of(recipe_of(objective), corpus, folds)
        model.eval()
        mask = torch.ones(batch.features.shape[:2], dtype=torch.bool)
        mask[0, 40:] = False
        first, second = (
            torch.stack(
                model.outcome_of(
                    model.networks[0],
                    FrameBatch(
                        torch.where(mask.unsqueeze(-1), batch.features, padding),
                        mask, batch.hidden, batch.extra,
                    ),
                ).figures()
            )
            for padding in (0.0, 1e3)
        )  # fmt: skip
        assert torch.allclose(first, second, atol=1e-5), objective


class StopAt(Silent):
    def report(self, step: int, figures: dict[str, float]) -> None:
        super().report(step, figures)
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_stopped_pretraining_resumes_to_the_same_bits(
    corpus: Corpus, folds: Folds, tmp_path: Path, objective: str
) -> None:
    recipe = recipe_of(objective, "networks.dropout=0.1")
    whole = pretrained(recipe, corpus, folds, tmp_path / "whole")
    stopped = run_of(recipe, corpus, folds, tmp_path / "stopped" / "runs")
    with pytest.raises(Stopped):
        pretrain_run(stopped, recipe, corpus, folds, CPU, StopAt())
    assert not stopped.done
    [state] = list_pretrainings(Workspace(tmp_path / "stopped"))
    assert (state.step, state.steps, state.running) == (2, 4, False)
    pretrain_run(stopped, recipe, corpus, folds, CPU, Silent())
    assert sha256_file(stopped.encoders()) == sha256_file(whole.encoders())
    assert stopped.manifest().loss == whole.manifest().loss


def test_a_fold_is_never_pretrained_on_what_it_holds_out(corpus: Corpus, folds: Folds) -> None:
    inductive, transductive = (
        rows_of(recipe_of("masked", transductive=each), corpus, folds, 0) for each in (False, True)
    )
    held_out = {*folds.validation(0), *folds.seen_session(0)}
    assert not held_out & {*transductive}
    assert {*transductive} - {*inductive} == {*corpus.test}
    assert {*inductive} <= {*corpus.train}


def test_the_checkpoint_of_a_finished_pretraining_is_cleaned(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    run = pretrained(recipe_of("masked"), corpus, folds, tmp_path)
    assert find_pretrainings([tmp_path]) == find_pretrainings([run.folder])
    assert clean([tmp_path], delete=True).checkpoints == (run.checkpoint,)
    assert run.encoders().is_file()
    assert not run.checkpoint.exists()


def test_labels_are_no_input(corpus: Corpus, folds: Folds) -> None:
    for setting in ("augment.mixup=0.5", "augment.channel_swap=0.5"):
        with pytest.raises(RecipeError, match="needs labels"):
            recipe_of("masked", setting)
    with pytest.raises(UsageError, match="one of masked, cbow"):
        recipe_of("nope")
    with pytest.raises(RecipeError, match=r"pretraining.spam is not a key; did you mean span"):
        recipe_of("masked", "pretraining.spam=3")


def test_counts_embed_codes_by_their_surroundings() -> None:
    table = co_occurrences([np.array([0, 1, 0, 1, 2, 3, 2, 3])], 4, 1)
    assert np.array_equal(table, table.T)
    assert table[0, 1] == 3
    assert table[1, 2] == 1
    full = embed_counts(table, 4)
    assert np.abs(full @ full.T).max() > 0
    assert embed_counts(table, 2).shape == (4, 2)
    assert np.array_equal(embed_counts(table, 2), full[:, :2])


def test_a_changed_manifest_is_refused(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    run = pretrained(recipe_of("masked"), corpus, folds, tmp_path)
    assert run.recipe() == recipe_of("masked")
    text = run.path.read_text()
    run.path.write_text(text.replace('"steps": 4', '"steps": 5'))
    with pytest.raises(DataError, match="changed after it was written"):
        run.manifest()
    state = start(run, recipe_of("masked"), FrameStore(corpus, CPU), folds.training(0))
    assert state.step == 4


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_can_be_pretrained(
    corpus: Corpus, folds: Folds, tmp_path: Path, encoder: str
) -> None:
    network = {key: tiny_of(encoder).sections()[key] for key in ("networks", "loss")}
    values = recipe_of("masked").sections() | network
    recipe = PretrainingRecipe.model_validate(values)
    run = pretrained(recipe, corpus, folds, tmp_path)
    model = build_model(tiny_of(encoder), 4)
    initialise_encoders(model, run.encoders())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_recorded_step_is_the_step(
    corpus: Corpus, folds: Folds, tmp_path: Path, objective: str
) -> None:
    recipe, rows, store = recipe_of(objective), folds.training(0), FrameStore(corpus, CPU)
    weights, recorder = [], Recorder()
    for record in (None, recorder):
        state = start(run_of(recipe, corpus, folds, tmp_path), recipe, store, rows)
        batches = FrameBatches(store, rows, recipe, state.model.networks[0].objective, 0)
        step = PretrainingStep(state, recipe, record)
        for _ in range(4):
            seed_step(state, 0)
            step(batches.at(state.step))
        weights.append(encoders_bytes(state.ema))
    assert weights[0] == weights[1]
    assert recorder.launches
