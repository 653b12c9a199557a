"""The encoders of the table: padding, gradients, dropout, precision; recurrences step by step."""

from copy import deepcopy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.models.encoders import ENCODERS
from kaggle_hw4.models.mlp import concatenate_frames
from kaggle_hw4.models.pooling import POOLINGS, MultiHeadPooling
from kaggle_hw4.models.recurrent import Elman, Jordan, RecurrentLayer, reverse
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.report.probe import _pooling_weights
from kaggle_hw4.workspace import shipped
from tests.conftest import ZOO, tiny, tiny_of
from tests.test_graphs import trained as weights_after
from tests.test_models import LENGTHS, batch

FILES = sorted(shipped("pipelines/variants/zoo").glob("*.toml"))


def model_of(encoder: str, *settings: str) -> SpeakerClassifier:
    torch.manual_seed(0)
    return build_model(tiny_of(encoder, "networks.dropout=0.0", *settings), n_speakers=5)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_padding_holds_changes_neither_logits_nor_gradients(
    encoder: str, pooling: str
) -> None:
    model = model_of(encoder, f"networks.pooling={pooling}").train()
    other = deepcopy(model)
    x, mask = batch()
    for each, padding in ((model, 0.0), (other, torch.nan)):
        logits = each(x.masked_fill(~mask.unsqueeze(-1), padding), mask)
        logits.square().sum().backward()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
        assert a.grad.isfinite().all()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_more_padding_changes_no_gradient(encoder: str, pooling: str) -> None:
    model = model_of(encoder, f"networks.pooling={pooling}").train()
    other = deepcopy(model)
    x, mask = batch()
    far, longer = F.pad(x, (0, 0, 0, 30)), F.pad(mask, (0, 30))
    for each, inputs in ((model, (x, mask)), (other, (far, longer))):
        each(*inputs).square().mean().backward()
    largest = max(float(p.grad.abs().max()) for p in model.parameters())
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=2e-5 * largest, rtol=1e-3)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_same_seed_gives_the_same_weights_in_every_encoder_and_pooling(
    encoder: str, pooling: str, corpus: Corpus, folds: Folds
) -> None:
    recipe = tiny_of(encoder, f"networks.pooling={pooling}", "networks.dropout=0.1")
    once, again = (weights_after(recipe, corpus, folds, None, steps=2) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_row_of_a_batch_changes_no_other(encoder: str) -> None:
    model = model_of(encoder).eval()
    x, mask = batch()
    other = torch.cat([x[:1], torch.randn_like(x[1:])])
    torch.testing.assert_close(model(x, mask)[:, 0], model(other, mask)[:, 0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("variant", ZOO)
def test_a_batch_without_padding_needs_no_mask_in_the_zoo(variant: str) -> None:
    torch.manual_seed(0)
    model = build_model(tiny(variant), n_speakers=5).eval()
    x, mask = batch()
    torch.testing.assert_close(
        model(x, None), model(x, torch.ones_like(mask)), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("encoder", ENCODERS)
def test_dropout_reaches_an_encoder_and_sleeps_at_evaluation(encoder: str) -> None:
    model = build_model(tiny_of(encoder, "networks.dropout=0.5"), n_speakers=5).train()
    x, mask = batch()
    layers = model.networks[0].encoder
    once = layers(x, mask)[0]
    model.draws.step += 1
    assert not torch.equal(layers(x, mask)[0], once)
    model.eval()
    assert torch.equal(model(x, mask), model(x, mask))


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("variant", ZOO)
def test_under_bf16_the_zoo_trains_and_stays_near(variant: str) -> None:
    torch.manual_seed(0)
    model = build_model(tiny(variant), n_speakers=5).eval()
    x, mask = batch()
    exact = model(x, mask)
    model.precision = "bf16"
    logits = model(x, mask)
    assert logits.dtype == torch.float32
    assert (logits - exact).abs().max() < 0.06 * exact.abs().max()
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_window_of_frames_is_zero_outside_the_utterance() -> None:
    x = torch.arange(1.0, 5).view(1, 4, 1)
    assert concatenate_frames(x, 3).tolist() == [[[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]]
    two = torch.stack([x[0], 10 * x[0]], -1).flatten(1).unsqueeze(0)  # features 1 and 10
    assert concatenate_frames(two, 3)[0, 1].tolist() == [1, 10, 2, 20, 3, 30]


def test_an_elman_network_feeds_back_its_hidden_layer() -> None:
    network, x = Elman(6, 4), torch.randn(2, 9, 6)
    h, outputs = torch.zeros(2, 4), []
    for t in range(9):
        of_input = x[:, t] @ network.weight_ih_l0.T + network.bias_ih_l0
        h = torch.tanh(of_input + h @ network.weight_hh_l0.T + network.bias_hh_l0)
        outputs.append(h)
    torch.testing.assert_close(network(x)[0], torch.stack(outputs, 1), atol=1e-6, rtol=0)


def test_a_jordan_network_feeds_back_its_output() -> None:
    network, x = Jordan(6, 4), torch.randn(2, 9, 6)
    y, outputs = torch.zeros(2, 4), []
    for t in range(9):
        hidden = torch.tanh(network.input(x[:, t]) + network.feedback(y))
        y = torch.tanh(network.output(hidden))
        outputs.append(y)
    torch.testing.assert_close(network(x)[0], torch.stack(outputs, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("variant", ["zoo/bilstm", "zoo/elman", "zoo/jordan", "zoo/gru"])
def test_a_bidirectional_layer_is_that_of_each_utterance_alone(variant: str) -> None:
    config = tiny(variant, "networks.bidirectional=true").networks[0]
    layer, x, mask = RecurrentLayer(config, 0).eval(), torch.randn(3, 50, 16), batch()[1]
    together = layer(x, mask)
    for i, n in enumerate(LENGTHS.flatten()):
        alone = x[i : i + 1, :n]
        normed = layer.norm(alone)
        back = layer.backwards(normed.flip(1))[0].flip(1)
        expected = alone + torch.cat([layer.forwards(normed)[0], back], -1)
        torch.testing.assert_close(together[i : i + 1, :n], expected, atol=1e-6, rtol=0)


def test_reversing_keeps_the_padding_behind() -> None:
    x, mask = torch.arange(4.0).view(1, 4, 1), torch.tensor([[True, True, True, False]])
    assert reverse(x, mask).flatten().tolist() == [2, 1, 0, 3]
    assert torch.equal(reverse(reverse(x, mask), mask), x)


def test_each_head_of_the_pooling_has_weights_of_its_own() -> None:
    pooling, x = MultiHeadPooling(8), torch.randn(2, 7, 8)
    heads = [
        (part @ query / 2**0.5).softmax(1).unsqueeze(1) @ part
        for part, query in zip(x.split(2, -1), pooling.query, strict=True)
    ]
    torch.testing.assert_close(pooling(x, None), torch.cat(heads, -1).squeeze(1))


def test_the_recipes_of_the_zoo_differ_from_medium_in_the_network_alone() -> None:
    medium = read_recipe(shipped("pipelines/variants/medium.toml"))
    zoo = [read_recipe(path) for path in FILES if path.stem != "two_kinds"]
    for recipe in zoo:
        assert recipe.model_copy(update={"networks": medium.networks}) == medium
    assert all(a.hash != b.hash for a, b in pairwise(sorted(zoo, key=lambda r: r.hash)))
    assert read_recipe(shipped("pipelines/variants/zoo/transformer.toml")) == medium


def test_two_kinds_of_networks_are_champions_and_another() -> None:
    champion = read_recipe(shipped("pipelines/variants/champion.toml"))
    both = read_recipe(shipped("pipelines/variants/zoo/two_kinds.toml"))
    assert both.networks[1:] == champion.networks
    assert both.model_copy(update={"networks": champion.networks}) == champion


@pytest.mark.parametrize("pooling", ["self_attention", "multi_head", "attentive_statistics"])
def test_the_report_sees_what_a_pooling_attends_to(pooling: str) -> None:
    model, x = model_of("lstm", f"networks.pooling={pooling}").eval(), batch()[0]
    with _pooling_weights(model) as weights, torch.inference_mode():
        model(x, None)
    assert weights[0].shape == (50,)
    assert weights[0].sum() == pytest.approx(1, abs=1e-5)
