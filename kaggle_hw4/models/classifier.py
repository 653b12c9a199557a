"""The speaker classifier: networks of frontend → encoder → pooling → embedding → head."""

import torch
from torch import Tensor, nn

from kaggle_hw4.models.heads import factors_of, has_low_rank, vectors_of
from kaggle_hw4.models.parallel import ParallelNetworks
from kaggle_hw4.models.pooling import moments_of
from kaggle_hw4.padding import Mask, mean_of, zero_padding
from kaggle_hw4.precision import autocast


class Frontend(nn.Module):
    """Normalisation of the features (B, T, n_mels) over the real frames of each utterance.

    A channel that does not change over a recording adds a constant to every log-mel band, so
    taking off an utterance's own mean takes the channel off with it (Atal 1974).
    """

    def __init__(self, normalisation: str) -> None:
        super().__init__()
        self.normalisation = normalisation

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        if self.normalisation == "mean":
            x = x - mean_of(x, mask).unsqueeze(1)
        elif self.normalisation == "mean_variance":
            mean, deviation = moments_of(x, mask)
            x = (x - mean.unsqueeze(1)) / deviation.unsqueeze(1)
        # Padding is zero from here on, whatever it held: no layer may see it.
        return zero_padding(x, mask)


class SpeakerNetwork(nn.Module):
    """(B, T, n_mels) features and their mask (B, T) → logits (B, C).

    The logits are plain: a margin is the loss's business, so accuracy, averaging and ensembling
    never ask which head made them. Padding changes nothing, whatever it holds.
    """

    def __init__(
        self,
        frontend: nn.Module,
        encoder: nn.Module,
        pooling: nn.Module,
        embedding: nn.Module,
        head: nn.Module,
        d_embedding: int,
    ) -> None:
        super().__init__()
        self.d_embedding = d_embedding
        self.frontend = frontend
        self.encoder = encoder
        self.pooling = pooling
        self.embedding = embedding
        self.head = head

    def embed(self, features: Tensor, mask: Mask) -> Tensor:
        """Speaker embeddings (B, d_embedding), float32 under any autocast."""
        x, mask = self.encoder(self.frontend(features, mask), mask)
        with torch.autocast(x.device.type, enabled=False):
            pooled = self.pooling(x.float(), mask)
            embedded: Tensor = self.embedding(pooled)
            return embedded

    def forward(self, features: Tensor, mask: Mask) -> Tensor:
        embedded = self.embed(features, mask)
        # bf16 near a cosine of 0.8 is 0.004 apart: times a scale of 30, a logit error of 0.12.
        with torch.autocast(embedded.device.type, enabled=False):
            logits: Tensor = self.head(embedded)
            return logits


class SpeakerClassifier(ParallelNetworks[SpeakerNetwork]):
    """Networks in parallel, from different random starts; `head` averages their logits.

    A network that was trained on few utterances of a speaker is confident of much that chance gave
    it, and another of other things (deep ensembles, Lakshminarayanan et al. 2017). Each is trained
    as if it were alone, on the same segments.
    """

    @property
    def d_embedding(self) -> int:
        """The width of what `embed` returns."""
        return sum(network.d_embedding for network in self.networks)

    def embed(self, features: Tensor, mask: Mask) -> Tensor:
        """The networks' embeddings, concatenated: (B, d_embedding), float32."""
        with autocast(features.device, self.precision):
            return torch.cat([network.embed(features, mask) for network in self.networks], -1)

    def head(self, embedded: Tensor) -> Tensor:
        """Plain logits (B, C) of what `embed` returns."""
        parts = zip(self.networks, self._split(embedded), strict=True)
        return torch.stack([network.head(part) for network, part in parts]).mean(0)

    @property
    def has_low_rank(self) -> bool:
        """Whether `head` is `factors` (B, R) times `vectors` (C, R)."""
        return all(has_low_rank(network.head) for network in self.networks)

    def factors(self, embedded: Tensor) -> Tensor:
        """The factors (B, R) of what `embed` returns."""
        parts = zip(self.networks, self._split(embedded), strict=True)
        factors = [factors_of(network.head, part) for network, part in parts]
        return torch.cat(factors, 1) / len(self.networks)

    def vectors(self) -> Tensor:
        """The vectors (C, R) of the speakers."""
        return torch.cat([vectors_of(network.head) for network in self.networks], 1)

    def _split(self, embedded: Tensor) -> tuple[Tensor, ...]:
        """The embeddings of each network."""
        widths = [network.d_embedding for network in self.networks]
        parts: tuple[Tensor, ...] = torch.split(embedded, widths, -1)
        return parts

    def forward(self, features: Tensor, mask: Mask) -> Tensor:
        """Every network's own plain logits (networks, B, C): what each is trained on."""
        logits = [self.logits_of(network, features, mask) for network in self.networks]
        return torch.stack(logits)

    def logits_of(self, network: SpeakerNetwork, features: Tensor, mask: Mask) -> Tensor:
        """The logits (B, C) of one of the networks, in the model's precision."""
        with autocast(features.device, self.precision):
            logits: Tensor = network(features, mask)
            return logits
