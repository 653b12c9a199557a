"""From features (B, T, n_mels) to the encoder's frames (B, T', d_model), and their mask."""

from torch import Tensor, nn

from kaggle_hw4.models.convolution import Convolution
from kaggle_hw4.models.norm import MaskedBatchNorm
from kaggle_hw4.padding import Mask, zero_padding


class LinearStem(nn.Linear):
    """A frame's bands to its d_model, frame by frame."""

    def forward(self, x: Tensor, mask: Mask) -> tuple[Tensor, Mask]:  # type: ignore[override]
        return super().forward(x), mask


class ConvolutionStem(nn.Module):
    """Two 3×3 convolutions over time and bands, then a linear layer, as before a Conformer
    (Gulati et al. 2020) or an ECAPA CNN-TDNN (Thienpondt et al. 2021).

    A pattern that moves by a band, as voices and rooms do, stays the same pattern. Each halves the
    bands; the first one keeps every `subsampling`-th frame.
    """

    def __init__(self, n_mels: int, d_model: int, subsampling: int) -> None:
        super().__init__()
        channels = max(1, d_model // 4)
        self.subsampling = subsampling
        self.convolutions = nn.ModuleList(
            [
                Convolution(1, channels, 3, (subsampling, 2), padding=1, bias=False),
                Convolution(channels, channels, 3, (1, 2), padding=1, bias=False),
            ]
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(channels) for _ in self.convolutions)
        bands = -(-n_mels // 4)
        self.out = nn.Linear(channels * bands, d_model)

    def forward(self, x: Tensor, mask: Mask) -> tuple[Tensor, Mask]:
        mask = None if mask is None else mask[:, :: self.subsampling]
        x = x.unsqueeze(-1)  # (B, T, bands, channels)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            x = norm(zero_padding(x, mask), mask).relu()
        return self.out(x.flatten(2)), mask
