"""Truncated self-attention is full attention under a band, and no T × T matrix is made."""

from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from kaggle_hw4.models.attention import SelfAttention
from kaggle_hw4.models.blocks import Blocks
from kaggle_hw4.models.build import build_model
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.stages.list_runs import differences
from kaggle_hw4.workspace import shipped
from tests.conftest import tiny, tiny_of

MEDIUM = shipped("pipelines/variants/medium.toml")


class Banded(SelfAttention):
    """Full attention, with a mask of (B, 1, T, T) in the place of the keys' mask."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        t = torch.arange(x.shape[1])
        near = ((t[:, None] - t).abs() <= self.width).expand(len(x), -1, -1)
        if mask is not None:
            near = near & mask.unsqueeze(1) | torch.eye(len(t), dtype=torch.bool)
        self.band = near.unsqueeze(1)
        return super().forward(x, None)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        return super()._attend(q, k, v, self.band)


def both(window: int, rotary: bool) -> tuple[SelfAttention, Banded]:
    torch.manual_seed(0)
    truncated, full = (
        kind(16, 2, 0.0, rotary, width) for kind, width in ((SelfAttention, window), (Banded, 0))
    )
    full.load_state_dict(truncated.state_dict())
    full.width = window
    return truncated, full


@pytest.mark.parametrize("T", [5, 31, 64, 150])
@pytest.mark.parametrize("window", [1, 10, 32, 40])
@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_truncated_attention_is_full_attention_under_a_band(
    T: int, window: int, rotary: bool, padded: bool
) -> None:
    truncated, full = both(window, rotary)
    x = torch.randn(3, T, 16)
    mask = torch.arange(T) < torch.tensor([[T], [T // 2 + 1], [1]]) if padded else None
    real = torch.ones(3, T, 1) if mask is None else mask.unsqueeze(-1)
    results = []
    for attention in (truncated, full):
        y = attention(x, mask) * real
        y.square().sum().backward()
        results.append((y, [p.grad for p in attention.parameters()]))
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)


def test_a_frame_of_the_padding_stays_finite() -> None:
    attention = both(2, rotary=False)[0]
    mask = torch.arange(200) < torch.tensor([[200], [3]])
    assert attention(torch.randn(2, 200, 16), mask).isfinite().all()


def test_dropout_reaches_truncated_attention() -> None:
    attention = SelfAttention(16, 2, 0.5, rotary=False, window=8).train()
    x = torch.randn(1, 90, 16)
    once = attention(x, None)
    assert torch.equal(attention(x, None), once)
    attention.dropout.draws.step += 1
    assert not torch.equal(attention(x, None), once)


@pytest.mark.parametrize("window", [8, 32, 100])
def test_blocks_grow_with_the_length_and_not_with_its_square(window: int) -> None:
    pairs = []
    for T in (1000, 2000, 4000, 8000):
        q = torch.empty(1, 1, T, 4)
        pairs.append(Blocks(T, window).split(q, q, q, None)[3].numel())
    for shorter, longer in pairwise(pairs):
        assert longer / shorter == pytest.approx(2, rel=0.1)
    assert pairs[-1] < 8000 * 8000 / 10


@pytest.mark.parametrize("encoder", ["transformer", "conformer"])
def test_a_window_of_all_frames_is_full_attention(encoder: str) -> None:
    recipes = [tiny_of(encoder, f"networks.window={n}") for n in (0, 60, 3)]
    models = []
    for recipe in recipes:
        torch.manual_seed(0)
        models.append(build_model(recipe, 5).eval())
    x = torch.randn(2, 50, 40)
    full, wide, narrow = (model(x, None) for model in models)
    assert torch.equal(full, wide)
    assert not torch.allclose(full, narrow, atol=1e-4)


def test_a_recipe_without_a_window_keeps_its_hash_and_its_file() -> None:
    plain, zero, window = (
        read_recipe(MEDIUM, settings)
        for settings in ([], ["networks.window=0"], ["networks.window=32"])
    )
    assert plain == zero
    assert plain.hash == zero.hash == "1149eb2e"
    assert "window" not in plain.to_toml()
    assert "window = 32" in window.to_toml()
    assert window.hash != plain.hash
    [difference] = differences(window, plain)
    assert (difference.key, difference.first, difference.second) == ("networks.window", 32, 0)


def test_a_gradient_reaches_no_frame_outside_the_window() -> None:
    attention, x = both(4, rotary=False)[0], torch.randn(1, 100, 16, requires_grad=True)
    attention(x, None)[0, 50].sum().backward()
    reached = x.grad[0].abs().sum(-1).nonzero().flatten()
    assert reached.tolist() == list(range(46, 55))


def test_a_truncated_recipe_is_medium_with_a_window() -> None:
    truncated = deepcopy(tiny("zoo/truncated").networks[0])
    assert truncated.window == 32
    assert truncated.model_copy(update={"window": 0}) == tiny("medium").networks[0]
