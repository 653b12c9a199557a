"""The depthwise convolution is PyTorch's, forwards and backwards."""

import pytest
import torch
from torch import nn

from kaggle_hw4.models.depthwise import DepthwiseConvolution, correlate


@pytest.mark.parametrize(("frames", "kernel_size"), [(9, 3), (40, 31), (5, 15), (1, 3)])
def test_output_and_gradients_are_those_of_conv1d(frames: int, kernel_size: int) -> None:
    own = DepthwiseConvolution(6, kernel_size)
    torchs = nn.Conv1d(6, 6, kernel_size, padding=kernel_size // 2, groups=6)
    torchs.load_state_dict({"weight": own.weight[:, :, 0], "bias": own.bias})
    x = torch.randn(4, frames, 6, requires_grad=True)
    y, expected = own(x), torchs(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(y, expected)
    upstream = torch.randn_like(y)
    got = torch.autograd.grad(y, (x, *own.parameters()), upstream)
    wanted = torch.autograd.grad(expected, (x, *torchs.parameters()), upstream)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a.reshape(b.shape), b)


def test_in_bf16_the_result_is_bf16_and_the_gradients_near() -> None:
    own = DepthwiseConvolution(6, 5)
    x = torch.randn(4, 20, 6).bfloat16().float().requires_grad_()
    low = x.detach().bfloat16().requires_grad_()
    exact = own(x)
    upstream = torch.randn_like(exact).bfloat16()
    wanted = torch.autograd.grad(exact, (x, *own.parameters()), upstream.float())
    with torch.autocast("cpu", torch.bfloat16):
        y = own(low)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), exact, rtol=1e-2, atol=1e-2)
    got = torch.autograd.grad(y, (low, *own.parameters()), upstream)
    assert [each.dtype for each in got] == [torch.bfloat16, torch.float32, torch.float32]
    for a, b in zip(got, wanted, strict=True):
        assert (a.float() - b).abs().max() < 0.02 * b.abs().max()


def test_sums_at_a_distance_of_frames_are_those_by_hand() -> None:
    x, y = torch.randn(2, 6, 3), torch.randn(2, 6, 3)
    sums = correlate(y, x, 5)
    torch.testing.assert_close(sums[:, 2], (x * y).sum((0, 1)))  # the middle: a distance of 0
    torch.testing.assert_close(sums[:, 4], (x[:, 2:] * y[:, :-2]).sum((0, 1)))
    torch.testing.assert_close(sums[:, 1], (x[:, :-1] * y[:, 1:]).sum((0, 1)))
