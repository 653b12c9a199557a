"""Neighbours: a doubtful utterance learns from those that are surely of its speaker and session."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.spreading import (
    NeighboursWithin,
    find_nearest,
    reliability_of,
    spread_labels,
)
from kaggle_hw4.logits import dense
from kaggle_hw4.models.build import build_model
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.workspace import shipped
from tests.conftest import VARIANTS, tiny, trained

GROUPS = torch.arange(12) // 4  # three sessions of four utterances


def voices(spread: float = 0.1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 16, generator=generator)
    return centres[GROUPS] + spread * torch.randn(12, 16, generator=generator)


def test_the_nearest_are_of_the_same_session() -> None:
    similarity, nearest = find_nearest(voices(), voices(), 3)
    assert (GROUPS[nearest] == GROUPS[:, None]).all()
    assert (similarity[:, :-1] >= similarity[:, 1:]).all()
    assert (nearest != torch.arange(12)[:, None]).all()


def test_a_doubtful_utterance_follows_its_session() -> None:
    logits = 3 * torch.eye(3)[GROUPS]
    logits[0] = torch.tensor([0.0, 0.5, 0.0])  # mistaken, hardly
    actual = spread_labels(logits, voices(), voices().numpy(), 3)
    assert logits[0].argmax() == 1
    assert torch.equal(actual.argmax(1), GROUPS)


def test_a_mistaken_session_stays_mistaken() -> None:
    """Nothing is gained where all agree: no label comes from anywhere else."""
    logits = 3 * torch.eye(3)[(GROUPS + 1) % 3]
    actual = spread_labels(logits, voices(), voices().numpy(), 3)
    assert torch.equal(actual.argmax(1), (GROUPS + 1) % 3)


def test_an_utterance_without_a_mutual_neighbour_keeps_its_own() -> None:
    points = torch.tensor([[0.0, 1], [0.1, 1], [0.2, 1], [9.0, -3]])
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    actual = spread_labels(logits, points, points.numpy(), 1)
    torch.testing.assert_close(actual[3], logits[3].log_softmax(0))


def test_what_is_near_is_not_trusted_where_neighbours_disagree() -> None:
    """Utterances of as many sessions as there are: the nearest is nobody's mate."""
    generator = torch.Generator().manual_seed(0)
    logits = 8 * torch.eye(40)
    points = torch.randn(40, 16, generator=generator)
    actual = spread_labels(logits, points, points.numpy(), 6)
    torch.testing.assert_close(actual, logits.log_softmax(1))


def test_trust_rises_with_similarity_and_needs_mutuality() -> None:
    similarity = torch.tensor([[0.9, 0.8], [0.7, 0.6], [0.5, 0.4], [0.3, 0.2]])
    agree = torch.tensor([[True, False], [True, True], [False, True], [False, False]])
    mutual = torch.ones_like(agree)
    mutual[3, 1] = False
    reliability = reliability_of(similarity, agree, mutual).flatten()
    assert (reliability[:-1].diff() <= 0).all()
    assert reliability[-1] == 0
    assert reliability[:7].sum() == pytest.approx(float(agree.sum()))


def test_the_order_of_the_utterances_does_not_matter() -> None:
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    plain = spread_labels(logits, voices(), voices().numpy(), 4)
    shuffled = spread_labels(logits[order], voices()[order], voices()[order].numpy(), 4)
    torch.testing.assert_close(shuffled, plain[order])


def test_a_prediction_with_neighbours_is_of_its_rows_alone(corpus: Corpus) -> None:
    torch.manual_seed(0)
    model = build_model(tiny("boss"), 4)
    store, plan = FrameStore(corpus, torch.device("cpu")), WHOLE
    rows = corpus.train[:20]
    wide = plan.model_copy(update={"spreading_neighbours": 3})
    actual = predict_logits(model, store, rows, wide)
    with torch.inference_mode():
        embeddings = torch.cat([model.eval().embed(*store_one(store, row)) for row in rows])
    logp = torch.from_numpy(predict_logits(model, store, rows, plan))
    expected = spread_labels(logp, embeddings, corpus.channels.descriptor[rows], 3)
    np.testing.assert_allclose(actual, expected.numpy(), atol=1e-4)


def store_one(store: FrameStore, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = store.corpus.features(int(row))[None]
    return x, torch.ones(x.shape[:2], dtype=torch.bool)


def test_labels_are_spread_within_subsets_only() -> None:
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    halves = [(np.arange(0, 8), np.arange(0, 6)), (np.arange(4, 12), np.arange(6, 12))]
    within = NeighboursWithin.find(halves, voices(), voices().numpy(), 3)
    actual = torch.from_numpy(dense(within.spread(logits.numpy())))
    for rows, counted in halves:
        alone = spread_labels(logits[rows], voices()[rows], voices().numpy()[rows], 3)
        torch.testing.assert_close(actual[counted], alone[counted - rows[0]])


def test_a_run_spreads_its_validation_as_densely_as_the_test_set(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    recipe = tiny("boss", "predict.spreading_neighbours=3")
    thin = dataclasses.replace(folds, share=0.5)
    whole, thinned = (trained(recipe, corpus, table, tmp_path) for table in (folds, thin))
    assert len(thin.subsets(0)) == 2
    assert np.array_equal(whole.read_logits("test").values, thinned.read_logits("test").values)
    assert not np.array_equal(whole.read_logits("oof").values, thinned.read_logits("oof").values)


@pytest.mark.parametrize(("by", "neighbours"), [("session", 6), ("utterance", 0)])
def test_labels_are_spread_by_default_where_the_test_set_is_of_other_sessions(
    by: str, neighbours: int
) -> None:
    for variant in VARIANTS:
        config = read_recipe(shipped(f"pipelines/variants/{variant}.toml")).predict
        assert config.settled(by).spreading_neighbours == neighbours
        fixed = config.model_copy(update={"spreading_neighbours": 3, "self_training": False})
        assert fixed.settled(by) == fixed
