"""From a recipe to a model: an explicit table of the parts."""

import torch
from torch import nn

from kaggle_hw4.models.classifier import (
    BatchNormEmbedding,
    BatchNormLinearEmbedding,
    Frontend,
    NoEmbedding,
    ReluEmbedding,
    SpeakerClassifier,
    SpeakerNetwork,
)
from kaggle_hw4.models.conformer import ConformerLayer
from kaggle_hw4.models.ecapa import EcapaLayer
from kaggle_hw4.models.encoder import Encoder
from kaggle_hw4.models.heads import CosineHead
from kaggle_hw4.models.pooling import (
    AttentiveStatisticsPooling,
    MeanPooling,
    SelfAttentionPooling,
    StatisticsPooling,
)
from kaggle_hw4.models.transformer import TransformerLayer
from kaggle_hw4.recipe import AnyModel, ConformerModel, EcapaModel, Recipe

Pooling = MeanPooling | StatisticsPooling | SelfAttentionPooling | AttentiveStatisticsPooling
POOLINGS: dict[str, type[Pooling]] = {
    "mean": MeanPooling,
    "statistics": StatisticsPooling,
    "self_attention": SelfAttentionPooling,
    "attentive_statistics": AttentiveStatisticsPooling,
}
EMBEDDINGS = {
    "none": NoEmbedding,
    "relu": ReluEmbedding,
    "batch_norm": BatchNormEmbedding,
    "batch_norm_linear": BatchNormLinearEmbedding,
}

__all__ = ["SpeakerClassifier", "build_model", "count_parameters"]


def build_model(recipe: Recipe, n_speakers: int, n_mels: int = 40) -> SpeakerClassifier:
    """The classifier that `recipe` describes, with weights drawn from torch's global generator."""
    return SpeakerClassifier(
        build_network(recipe, model, n_speakers, n_mels)
        for model in recipe.models
        for _ in range(model.copies)
    )


def build_network(recipe: Recipe, model: AnyModel, n_speakers: int, n_mels: int) -> SpeakerNetwork:
    encoder = build_encoder(model, n_mels)
    pooling = POOLINGS[model.pooling](model.d_encoded)
    embedding = EMBEDDINGS[model.embedding](model.d_pooled, model.d_embedding)
    head = (
        CosineHead(model.d_embedding, n_speakers, recipe.loss.scale, model.sub_centres)
        if model.head == "cosine"
        else nn.Linear(model.d_embedding, n_speakers)
    )
    return SpeakerNetwork(
        Frontend(recipe.features.normalisation),
        encoder,
        pooling,
        embedding,
        head,
        model.d_embedding,
    )


def build_encoder(model: AnyModel, n_mels: int) -> Encoder:
    if isinstance(model, ConformerModel):
        return Encoder(n_mels, model, ConformerLayer, norm=nn.Identity())
    if isinstance(model, EcapaModel):
        return Encoder(n_mels, model, EcapaLayer, norm=nn.Identity())
    # A pre-norm stack leaves its sum unnormalised; a post-norm one has just normalised it.
    norm = nn.LayerNorm(model.d_model) if model.norm == "pre" else nn.Identity()
    return Encoder(n_mels, model, TransformerLayer, norm)


def count_parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
