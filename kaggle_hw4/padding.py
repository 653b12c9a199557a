"""The mask of a batch, and what it is for: padding changes nothing."""

from torch import Tensor

# (B, T), true on real frames; None where every frame is real, and nothing has to be masked.
Mask = Tensor | None


def zero_padding(x: Tensor, mask: Mask) -> Tensor:
    """X (B, T, …) with zeros in the padding; x itself where there is none."""
    if mask is None:
        return x
    return x.masked_fill(~mask.reshape(*mask.shape, *[1] * (x.dim() - 2)), 0)


def mean_of(x: Tensor, mask: Mask, weight: Tensor | None = None) -> Tensor:
    """Mean (B, D) of x (B, T, D) over the real frames, under weights (B, T, 1) that sum to 1 and
    are 0 in the padding; None: even ones.
    """
    # 0 · NaN is NaN: padding may hold anything, so it is replaced and not just weighted away.
    x = zero_padding(x, mask)
    if weight is not None:
        return (weight.transpose(1, 2) @ x).squeeze(1)
    return x.mean(1) if mask is None else x.sum(1) / mask.sum(1, keepdim=True)
