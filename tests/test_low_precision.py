"""What is computed in bf16 on a CPU, and what is not."""

import pytest
import torch
from torch import Tensor, nn

from kaggle_hw4.models.attention import SelfAttention
from kaggle_hw4.models.norm import MaskedBatchNorm
from kaggle_hw4.padding import zero_padding
from tests.test_models import LENGTHS


@pytest.mark.parametrize("masked", [False, True])
def test_normalisation_of_bf16_is_summed_in_float32(masked: bool) -> None:
    """bf16 has three digits: a sum of 4,000 values in it would be far off."""
    mask = torch.arange(100) < torch.tensor([[90]] * 40) if masked else None
    x = zero_padding(torch.randn(40, 100, 8) + 3, mask).bfloat16()
    exact, low = MaskedBatchNorm(8), MaskedBatchNorm(8)
    expected = exact(x.float(), mask)
    with torch.autocast("cpu", torch.bfloat16):
        y = low(x, mask)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, expected.bfloat16(), rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(low.running_mean, exact.running_mean)
    torch.testing.assert_close(low.running_var, exact.running_var)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_bf16_is_near_the_fused_one(masked: bool) -> None:
    attention = SelfAttention(16, 2, 0.0, rotary=True)
    x, mask = torch.randn(3, 50, 16), torch.arange(50) < LENGTHS if masked else None
    exact = attention(x, mask)
    with torch.autocast("cpu", torch.bfloat16):
        y = attention(x, mask)
    assert (y.float() - exact).abs().max() < 0.02 * exact.abs().max()


def test_prediction_in_bf16_makes_no_matrix_of_all_pairs_of_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 7,193 frames, the longest of the competition, it would take 100 MB a head."""
    attention, kinds = SelfAttention(16, 2, 0.0, rotary=True).eval(), []
    fused = nn.functional.scaled_dot_product_attention

    def watched(q: Tensor, *rest: Tensor) -> Tensor:
        kinds.append(q.dtype)
        return fused(q, *rest)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", watched)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        attention(torch.randn(1, 50, 16), None)
    assert kinds == [torch.float32]
