"""Models: padding changes nothing, utterances of a batch never meet, the sample is the sample."""

from copy import deepcopy
from typing import get_args

import pytest
import torch
from torch import nn

from kaggle_hw4.models.attention import (
    SelfAttention,
    rotary_angles,
    rotate,
    sinusoidal_positions,
)
from kaggle_hw4.models.build import build_model, count_parameters
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.models.dropout import Dropout
from kaggle_hw4.models.embeddings import EMBEDDINGS
from kaggle_hw4.models.encoders import ENCODERS
from kaggle_hw4.models.pooling import POOLINGS
from kaggle_hw4.networks import AnyNetwork
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.workspace import shipped
from tests.conftest import VARIANTS, tiny, tiny_of

LENGTHS = torch.tensor([[50], [31], [7]])


def model_of(variant: str, *settings: str) -> SpeakerClassifier:
    torch.manual_seed(0)
    return build_model(tiny(variant, *settings), n_speakers=5).eval()


def batch(T: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(3, T, 40, generator=torch.Generator().manual_seed(1)) * 3 - 8
    return x, torch.arange(T) < LENGTHS


def test_simple_has_the_sample_recipes_parameters() -> None:
    recipe = read_recipe(shipped("pipelines/variants/simple.toml"))
    assert count_parameters(build_model(recipe, 600)) == 125_896


def test_simple_computes_what_the_sample_recipe_computes() -> None:
    torch.manual_seed(0)
    model = build_model(read_recipe(shipped("pipelines/variants/simple.toml")), 600).eval()
    sample = nn.TransformerEncoderLayer(80, 2, 256, batch_first=True).eval()
    network = model.networks[0]
    layer = network.encoder.layers[0]
    pairs = {
        "self_attn.in_proj_weight": layer.attention.qkv.weight,
        "self_attn.in_proj_bias": layer.attention.qkv.bias,
        "self_attn.out_proj.weight": layer.attention.out.weight,
        "self_attn.out_proj.bias": layer.attention.out.bias,
        "linear1.weight": layer.feed_forward[0].weight,
        "linear1.bias": layer.feed_forward[0].bias,
        "linear2.weight": layer.feed_forward[3].weight,
        "linear2.bias": layer.feed_forward[3].bias,
        "norm1.weight": layer.attention_norm.weight,
        "norm1.bias": layer.attention_norm.bias,
        "norm2.weight": layer.feed_forward_norm.weight,
        "norm2.bias": layer.feed_forward_norm.bias,
    }
    sample.load_state_dict(pairs)
    x = batch()[0]
    pooled = sample(network.encoder.stem(x, None)[0]).mean(1)
    expected = network.head(network.embedding(pooled))
    torch.testing.assert_close(model(x, torch.ones(3, 50, dtype=torch.bool))[0], expected)


def test_sinusoidal_positions_are_added_to_frames_times_the_root_of_the_width() -> None:
    """Vaswani et al. 2017, 3.4: or else the positions drown the frames."""
    encoder = model_of("medium", "networks.positions=sinusoidal").networks[0].encoder
    encoder.layers, encoder.norm = nn.ModuleList(), nn.Identity()
    x = batch()[0]
    frames, _ = encoder.stem(x, None)
    positions = sinusoidal_positions(50, frames.shape[2], x.device)
    torch.testing.assert_close(encoder(x, None)[0], frames * frames.shape[2] ** 0.5 + positions)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("positions", ["none", "sinusoidal", "rotary"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_does_not_change_logits(encoder: str, positions: str, pooling: str) -> None:
    if positions != "none" and not hasattr(tiny_of(encoder).networks[0], "positions"):
        pytest.skip("an encoder without positions")
    positioned = [] if positions == "none" else [f"networks.positions={positions}"]
    recipe = tiny_of(encoder, *positioned, f"networks.pooling={pooling}")
    torch.manual_seed(0)
    model = build_model(recipe, n_speakers=5).eval()
    x, mask = batch()
    spoiled = x.masked_fill(~mask.unsqueeze(-1), torch.nan)
    together = model(spoiled, mask)
    for i, n in enumerate(LENGTHS.flatten()):
        alone = model(x[i : i + 1, :n], mask[i : i + 1, :n])
        torch.testing.assert_close(together[:, i], alone[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("training", [False, True])
def test_a_batch_without_padding_needs_no_mask(variant: str, pooling: str, training: bool) -> None:
    """Logits, gradients and the statistics of BatchNorm are the same without it."""
    masked = model_of(variant, f"networks.pooling={pooling}").train(training)
    plain = deepcopy(masked)
    x = batch()[0]
    expected = masked(x, torch.ones(3, 50, dtype=torch.bool))
    logits = plain(x, None)
    torch.testing.assert_close(logits, expected, atol=2e-4, rtol=1e-4)
    for model, values in ((masked, expected), (plain, logits)):
        values.square().mean().backward()
        assert all(p.grad is not None for p in model.parameters())
    scale = max(p.grad.abs().max() for p in masked.parameters())
    for a, b in zip(plain.parameters(), masked.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=2e-5 * float(scale), rtol=1e-3)
    for a, b in zip(plain.buffers(), masked.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_layer_keeps_its_shape_and_the_padding_changes_no_real_frame(encoder: str) -> None:
    config = tiny_of(encoder).networks[0]
    layer = ENCODERS[encoder].layer(config, 0).eval()
    x, mask = torch.randn(3, 50, config.d_model), torch.arange(50) < LENGTHS
    y = layer(x.masked_fill(~mask.unsqueeze(-1), 0), mask)
    assert y.shape == x.shape
    for i, n in enumerate(LENGTHS.flatten()):
        alone = layer(x[i : i + 1, :n], mask[i : i + 1, :n])
        torch.testing.assert_close(y[i, :n], alone[0], atol=1e-5, rtol=0)


def test_every_encoder_has_a_config_and_a_layer() -> None:
    tags = [
        get_args(c.model_fields["encoder"].annotation)[0] for c in get_args(get_args(AnyNetwork)[0])
    ]
    assert set(tags) == set(ENCODERS)


@pytest.mark.parametrize("normalisation", ["none", "mean", "mean_variance"])
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_padding_changes_nothing_under_any_normalisation(
    normalisation: str, embedding: str
) -> None:
    settings = (f"features.normalisation={normalisation}", f"networks.embedding={embedding}")
    model = model_of("boss", "networks.pooling=self_attention", *settings)
    x, mask = batch()
    spoiled = x.masked_fill(~mask.unsqueeze(-1), -20.0)
    torch.testing.assert_close(model(spoiled, mask), model(x, mask), atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_attention_across_the_batch(variant: str) -> None:
    model = model_of(variant)
    x, mask = batch()
    other = x.clone()
    other[1:] = torch.randn_like(other[1:])
    assert torch.equal(model(x, mask)[:, 0], model(other, mask)[:, 0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_frame_hears_the_others(variant: str) -> None:
    model = model_of(variant)
    x, mask = batch()
    other = x.clone()
    other[0, 40] += 5
    encoder = model.networks[0].encoder
    changed = (encoder(x, mask)[0] - encoder(other, mask)[0])[0].abs().amax(-1)
    assert (changed[:40] > 0).all()


@pytest.mark.parametrize("variant", ["strong", "boss"])
def test_a_conformer_depends_on_the_order_of_frames(variant: str) -> None:
    model = model_of(variant)
    x, mask = batch()
    full = torch.ones_like(mask)
    assert not torch.allclose(model(x, full), model(x.flip(1), full), atol=1e-4)


def test_rotary_scores_depend_on_distance_alone() -> None:
    turn = rotary_angles(20, 8, torch.device("cpu"))
    q, k = torch.randn(8), torch.randn(8)
    scores = rotate(q.expand(20, 8), turn) @ rotate(k.expand(20, 8), turn).T
    torch.testing.assert_close(scores.diagonal(3), scores[0, 3].expand(17), atol=1e-5, rtol=0)
    assert not torch.allclose(scores[0, 3], scores[3, 0])


def test_mean_normalisation_takes_a_channel_off() -> None:
    model = model_of("boss")
    x, mask = batch()
    channel = torch.randn(3, 1, 40) * 4
    torch.testing.assert_close(model(x + channel, mask), model(x, mask), atol=1e-4, rtol=0)


def test_the_logits_of_several_networks_are_averaged() -> None:
    model = model_of("boss", "networks.count=3")
    x, mask = batch()
    first, second, third = (network(x, mask) for network in model.networks)
    assert not torch.allclose(first, second, atol=0.1)
    expected = torch.stack([first, second, third])
    torch.testing.assert_close(model(x, mask), expected)
    torch.testing.assert_close(model.head(model.embed(x, mask)), expected.mean(0))


def test_the_logits_of_networks_of_two_kinds_are_averaged() -> None:
    model = model_of("zoo/two_kinds", "networks.1.d_embedding=24", "networks.1.count=2")
    x, mask = batch()
    logits = [network(x, mask) for network in model.networks]
    assert [network.d_embedding for network in model.networks] == [16, 24, 24]
    torch.testing.assert_close(model(x, mask), torch.stack(logits))
    torch.testing.assert_close(model.head(model.embed(x, mask)), sum(logits) / 3)


def test_boss_predicts_from_bounded_cosines() -> None:
    model = model_of("boss")
    logits = model(*batch())
    assert logits.abs().max() <= 30.0 + 1e-4
    assert not hasattr(model.networks[0].head, "bias")


def test_dropout_reaches_the_attention_itself() -> None:
    attention = SelfAttention(16, 2, dropout=0.5, rotary=False).train()
    x, mask = torch.randn(1, 9, 16), torch.ones(1, 9, dtype=torch.bool)
    once = attention(x, mask)
    assert torch.equal(attention(x, mask), once), "a draw is a function of the step"
    attention.dropout.draws.step += 1
    assert not torch.equal(attention(x, mask), once)
    attention.eval()
    assert torch.equal(attention(x, mask), attention(x, mask))


@pytest.mark.parametrize("variant", VARIANTS)
def test_dropout_reaches_every_layer(variant: str) -> None:
    model = build_model(tiny(variant, "networks.dropout=0.375"), 4)
    attentions = [m for m in model.modules() if isinstance(m, SelfAttention)]
    on_weights = {m.dropout for m in attentions}  # a Conformer has it on its residuals alone
    dropouts = [m for m in model.modules() if isinstance(m, Dropout)]
    assert {m.dropped for m in dropouts if m not in on_weights} == {0.375 * 256}
    expected = {0.375 * 256} if variant in ("simple", "medium") else {0}
    assert {m.dropped for m in on_weights} == (expected if attentions else set())
    assert not any(isinstance(m, nn.Dropout) for m in model.modules())


def test_dropout_reaches_its_layers_and_sleeps_at_evaluation() -> None:
    for variant in VARIANTS:
        model = model_of(variant, "networks.dropout=0.5")
        x, mask = batch()
        assert torch.equal(model(x, mask), model(x, mask))
        encoder = model.networks[0].encoder.train()
        once = encoder(x, mask)[0]
        model.draws.step += 1
        assert not torch.equal(once, encoder(x, mask)[0])


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("positions", ["none", "rotary"])
def test_under_bf16_the_logits_stay_float32_and_train(variant: str, positions: str) -> None:
    model = model_of(variant, f"networks.positions={positions}")
    x, mask = batch()
    exact = model(x, mask)
    model.precision = "bf16"
    logits = model(x, mask)
    assert logits.dtype == torch.float32
    assert (logits - exact).abs().max() < 0.05 * exact.abs().max()
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
