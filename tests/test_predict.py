"""Predictions come in the order asked for, whatever the batches and the segments."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.inference.embed import WHOLE, batches, embed_segments, plan_segments
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.recipe import PredictionConfig
from tests.conftest import VARIANTS, tiny

CPU = torch.device("cpu")


def make(variant: str = "boss") -> SpeakerClassifier:
    torch.manual_seed(0)
    return build_model(tiny(variant), 4).eval()


def alone(model: SpeakerClassifier, corpus: Corpus, row: int, cut: slice) -> np.ndarray:
    x = corpus.features(row)[cut].unsqueeze(0)
    with torch.inference_mode():
        return model(x, torch.ones(x.shape[:2], dtype=torch.bool))[:, 0].mean(0).numpy()


@pytest.mark.parametrize("variant", VARIANTS)
def test_predictions_are_in_the_order_of_the_rows(corpus: Corpus, variant: str) -> None:
    model, rows = make(variant), np.array([7, 2, 30, 2, 19])
    actual = predict_logits(model, FrameStore(corpus, CPU), rows, WHOLE)
    expected = [alone(model, corpus, int(row), slice(None)) for row in rows]
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_segments_are_averaged_evenly_spaced(corpus: Corpus) -> None:
    model, row = make(), int(corpus.lengths.argmax())
    spare = int(corpus.lengths[row]) - 40
    cuts = [slice(s, s + 40) for s in (0, int(np.rint(spare / 2)), spare)]
    expected = np.mean([alone(model, corpus, row, cut) for cut in cuts], axis=0)
    plan = PredictionConfig(
        weights="ema", segments=3, frames=[40], average="logits", spreading_neighbours=0
    )
    actual = predict_logits(model, FrameStore(corpus, CPU), np.array([row, 0]), plan)
    np.testing.assert_allclose(actual[0], expected, atol=1e-5)


def test_a_short_utterance_is_taken_whole() -> None:
    plan = PredictionConfig(
        weights="ema", segments=3, frames=[100], average="logits", spreading_neighbours=0
    )
    where, cuts = plan_segments(np.array([80, 100, 300]), plan)
    assert where.tolist() == [0, 1, 2, 2, 2]
    assert cuts.tolist() == [[0, 80], [0, 100], [0, 100], [100, 100], [200, 100]]


def test_batches_cover_everything_once_with_little_padding() -> None:
    lengths = np.random.default_rng(0).lognormal(6.388, 0.411, 2000).astype(np.int64)
    actual = list(batches(lengths, 4096))
    assert all(len(chosen) * lengths[chosen].max() <= 4096 for chosen in actual if len(chosen) > 1)
    assert sorted(np.concatenate(actual)) == list(range(2000))
    padded = sum(len(chosen) * lengths[chosen].max() for chosen in actual)
    assert padded < 1.05 * lengths.sum()


def test_the_model_is_left_in_its_mode_and_predicts_without_dropout(corpus: Corpus) -> None:
    model, store = make().train(), FrameStore(corpus, CPU)
    once, again = (predict_logits(model, store, corpus.test, WHOLE) for _ in range(2))
    assert model.training
    assert (once == again).all()


def cut(model: SpeakerClassifier, corpus: Corpus, row: int, average: str) -> np.ndarray:
    """The prediction of a row from two segments of 40 and two of 60 frames."""
    plan = PredictionConfig(
        weights="ema", segments=2, frames=[40, 60], average=average, spreading_neighbours=0
    )
    return predict_logits(model, FrameStore(corpus, CPU), np.array([row]), plan)[0]


def four(model: SpeakerClassifier, corpus: Corpus, row: int) -> np.ndarray:
    """The logits (4, C) of those segments, each predicted by itself."""
    end = int(corpus.lengths[row])
    cuts = (slice(0, 40), slice(end - 40, end), slice(0, 60), slice(end - 60, end))
    return np.stack([alone(model, corpus, row, part) for part in cuts])


def test_several_lengths_are_averaged_as_logits_or_as_probabilities(corpus: Corpus) -> None:
    model, row = make(), int(corpus.lengths.argmax())
    logits = four(model, corpus, row)
    np.testing.assert_allclose(cut(model, corpus, row, "logits"), logits.mean(0), atol=1e-5)
    probabilities = softmax(logits, axis=1).mean(0)
    actual = softmax(cut(model, corpus, row, "probabilities"))
    np.testing.assert_allclose(actual, probabilities, atol=1e-5)


def test_averaged_embeddings_go_through_the_head_once(corpus: Corpus) -> None:
    model, row = make(), int(corpus.lengths.argmax())
    plan = PredictionConfig(
        weights="ema", segments=2, frames=[40, 60], average="embeddings", spreading_neighbours=0
    )
    where, [embeddings] = embed_segments([model], FrameStore(corpus, CPU), np.array([row]), plan)
    assert where.tolist() == [0] * 4
    expected = model.head(embeddings.mean(0, keepdim=True))[0].detach()
    np.testing.assert_allclose(cut(model, corpus, row, "embeddings"), expected, atol=1e-5)
    assert not np.allclose(expected, four(model, corpus, row).mean(0), atol=1e-3)


def test_averaging_log_probabilities_is_averaging_logits(corpus: Corpus) -> None:
    model, row = make(), int(corpus.lengths.argmax())
    logits = four(model, corpus, row)
    mean_log_probability = log_softmax(logits, axis=1).mean(0)
    actual = log_softmax(cut(model, corpus, row, "logits"))
    np.testing.assert_allclose(actual, log_softmax(mean_log_probability), atol=1e-5)
