"""Self-training: a set's own embeddings, by the classes that its logits give them."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.inference.discriminant import Discriminant
from kaggle_hw4.inference.fusion import fuse, learn_within
from kaggle_hw4.inference.logits import Task, predict_sets
from kaggle_hw4.logits import LowRankLogits
from kaggle_hw4.progress import Progress, no_bar
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.run_manifest import FusionWeights
from kaggle_hw4.training.measure import measure
from kaggle_hw4.workspace import shipped
from tests.conftest import tiny, trained

CPU = torch.device("cpu")
CLASSES, N = 5, 400
LABELS = np.arange(N) % CLASSES
SUBSETS = [(np.arange(0, 250), np.arange(0, 200)), (np.arange(150, N), np.arange(200, N))]


def points() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(CLASSES, 8, generator=generator)
    return centres[torch.from_numpy(LABELS)] + torch.randn(N, 8, generator=generator)


def guess(sure: float) -> np.ndarray:
    """Logits of a network that is right with four of ten utterances."""
    random = np.random.default_rng(0)
    right = np.where(random.random(N) < 0.4, LABELS, random.integers(CLASSES, size=N))
    return (sure * np.eye(CLASSES)[right]).astype(np.float32)


def accuracy(logits: np.ndarray) -> float:
    return float((logits.argmax(1) == LABELS).mean())


def test_from_a_guess_it_learns_what_the_embeddings_know() -> None:
    first = guess(sure=2)
    part = learn_within([(np.arange(N), np.arange(N))], points(), first)
    assert accuracy(first) < 0.6
    assert accuracy(part.at(slice(None))) > 0.95


def test_with_certain_guesses_it_is_nearly_the_analysis_of_labels() -> None:
    x = points()
    certain = (50 * np.eye(CLASSES)[LABELS]).astype(np.float32)
    actual = Discriminant.fit_guessed(x, certain).logits(x)
    expected = Discriminant.fit(x, torch.from_numpy(LABELS), CLASSES).logits(x)
    assert (actual.argmax(1) == expected.argmax(1)).float().mean() > 0.99


def test_a_class_that_nobody_is_guessed_to_be_attracts_none() -> None:
    x, first = points(), np.pad(guess(sure=3), [(0, 0), (0, 2)], constant_values=-9)
    assert Discriminant.fit_guessed(x, first).logits(x).argmax(1).max() < CLASSES


@pytest.mark.parametrize("n", [1, 2])
def test_a_set_of_an_utterance_or_two_has_finite_logits(n: int) -> None:
    logits = Discriminant.fit_guessed(points()[:n], guess(2)[:n]).logits(points()[:n])
    assert logits.isfinite().all()


def test_each_subset_is_learned_from_by_itself() -> None:
    x, first = points(), guess(sure=2)
    part = learn_within(SUBSETS, x, first)
    for rows, counted in SUBSETS:
        own = Discriminant.fit_guessed(x[rows], first[rows]).logits(x[counted])
        np.testing.assert_allclose(part.at(counted), own, rtol=1e-4, atol=1e-3)


def test_logits_of_low_rank_teach_what_the_matrix_does() -> None:
    random, x = np.random.default_rng(0), points()
    factors = random.normal(size=(N, 3)).astype(np.float32)
    vectors = random.normal(size=(CLASSES, 3)).astype(np.float32)
    low = LowRankLogits.of(factors, vectors)
    parts = [learn_within(SUBSETS, x, each) for each in (low, factors @ vectors.T)]
    fused = [fuse(low, [part], (0.5, 0.5)) for part in parts]
    assert all(isinstance(each, LowRankLogits) for each in fused)
    first, second = (each.dense() for each in fused if isinstance(each, LowRankLogits))
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("statistics", [False, True])
def test_a_run_that_is_predicted_again_keeps_its_logits(
    statistics: bool, corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    settings = ("predict.self_training=true", f"predict.statistics={str(statistics).lower()}")
    recipe = tiny("boss", *settings, "predict.spreading_neighbours=3")
    run, store = trained(recipe, corpus, folds, tmp_path), FrameStore(corpus, CPU)
    task = Task(run, folds, recipe.predict)
    stages: list[str] = []

    def bar(what: str) -> Progress:
        stages.append(what)
        return no_bar(what)

    [again] = predict_sets([task], [task.load_model(corpus, "float32")], store, bar)
    sets = task.sets(corpus)
    assert stages.count("label spreading") == len(sets), "neighbours are found once for both"
    for name in sets:
        np.testing.assert_array_equal(run.read_logits(name).values, again.logits[name])
    fusion = run.manifest().fusion
    assert fusion is not None and fusion.guess is not None and fusion == again.fusion
    assert len(fusion.values) == len(fusion.guess.values) + 1 == 2 + 2 * statistics


def test_weights_without_self_training_are_written_as_before() -> None:
    weights = FusionWeights.of((0.7, 0.2, 0.1))
    assert weights.model_dump() == {"network": 0.7, "correlations": 0.2, "covariances": 0.1}
    trained_too = FusionWeights.of((0.5, 0.2, 0.1, 0.3), weights)
    assert FusionWeights.model_validate_json(trained_too.model_dump_json()) == trained_too


def test_it_is_on_where_the_folds_are_by_session() -> None:
    config = read_recipe(shipped("pipelines/variants/boss.toml")).predict
    assert config.settled("session").self_training is True
    assert config.settled("utterance").self_training is False
    peer = read_recipe(shipped("pipelines/variants/peers/viesuki.toml")).predict
    assert peer.settled("session").self_training is False


def test_the_estimate_counts_it(
    corpus: Corpus, folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Discriminant, "fit_guessed", lambda *_: time.sleep(0.2))
    store, recipe = FrameStore(corpus, CPU), tiny("boss", "predict.self_training=true")
    # A set each for validation and test, at the least.
    assert measure(recipe, folds, 0, store, "float32").prediction > 0.4
    assert measure(tiny("boss"), folds, 0, store, "float32").prediction < 0.4
