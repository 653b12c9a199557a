"""From a recipe to a model: explicit tables of the parts."""

import torch
from torch import nn

from kaggle_hw4.models.classifier import Frontend, SpeakerClassifier, SpeakerNetwork
from kaggle_hw4.models.embeddings import EMBEDDINGS
from kaggle_hw4.models.encoder import Encoder
from kaggle_hw4.models.encoders import ENCODERS
from kaggle_hw4.models.heads import CosineHead
from kaggle_hw4.models.pooling import POOLINGS
from kaggle_hw4.networks import AnyNetwork
from kaggle_hw4.recipe import Recipe


def build_model(recipe: Recipe, n_speakers: int, n_mels: int = 40) -> SpeakerClassifier:
    """The classifier that `recipe` describes, with weights drawn from torch's global generator."""
    return SpeakerClassifier(
        build_network(config, recipe, n_speakers, n_mels)
        for config in recipe.networks
        for _ in range(config.count)
    )


def build_network(
    config: AnyNetwork, recipe: Recipe, n_speakers: int, n_mels: int
) -> SpeakerNetwork:
    encoder = build_encoder(config, n_mels)
    pooling = POOLINGS[config.pooling](config.d_encoded)
    embedding = EMBEDDINGS[config.embedding](config.d_pooled, config.d_embedding)
    head = (
        CosineHead(config.d_embedding, n_speakers, recipe.loss.scale, config.sub_centres)
        if config.head == "cosine"
        else nn.Linear(config.d_embedding, n_speakers)
    )
    frontend = Frontend(recipe.features.normalisation)
    return SpeakerNetwork(frontend, encoder, pooling, embedding, head, config.d_embedding)


def build_encoder(config: AnyNetwork, n_mels: int) -> Encoder:
    parts = ENCODERS[config.encoder]
    return Encoder(n_mels, config, parts.layer, parts.final_norm(config))


def parameters_of(recipe: Recipe, n_speakers: int, n_mels: int = 40) -> int:
    """The number of parameters of a recipe's networks, without the memory for them."""
    with torch.device("meta"):
        return count_parameters(build_model(recipe, n_speakers, n_mels))


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
