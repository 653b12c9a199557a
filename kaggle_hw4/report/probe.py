"""A look inside a trained model: what its pooling attends to, and where it puts utterances."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kaggle_hw4.artifact import verify
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.segments import FrameStore, Segments
from kaggle_hw4.inference.embed import WHOLE, embed_segments
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.models.pooling import (
    AttentiveStatisticsPooling,
    MultiHeadPooling,
    SelfAttentionPooling,
    masked_softmax,
)
from kaggle_hw4.report.groups import Group
from kaggle_hw4.report.models import HardUtterance
from kaggle_hw4.runs import Run

FRAMES = 600  # at most, of an utterance that is shown
SPEAKERS, UTTERANCES = 6, 20  # of each speaker, on the plane
SEGMENT = WHOLE.model_copy(update={"segments": 1, "frames": [300]})

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Attention:
    """An utterance's log-mel frames (T, n_mels), and the pooling's weights (t,) over them, the mean
    over networks; None where no network has attention pooling.
    """

    utterance: HardUtterance
    frames: Array
    weights: Array | None


@dataclass(frozen=True)
class PlanePoint:
    id: str
    speaker: str
    session: int | None  # its number within the speaker; None where sessions are not guessed
    x: float
    y: float


@dataclass(frozen=True)
class Plane:
    """Embeddings on their first two principal components, which hold `shown` of their variance.

    Of the variance, `speakers` is between speakers and `sessions` between a speaker's sessions.
    """

    run: str
    points: tuple[PlanePoint, ...]
    shown: float
    speakers: float
    sessions: float | None


def load_model(run: Run, corpus: Corpus) -> SpeakerClassifier:
    """The model of a finished run, on the CPU, for prediction."""
    recipe, manifest = run.recipe(), run.manifest()
    path = run.folder / f"{recipe.predict.weights}.safetensors"
    verify(path, manifest.sha256[path.name], run.remedy)
    with torch.random.fork_rng(devices=[]):  # the weights that are drawn are replaced at once
        model = build_model(recipe, len(corpus.speakers), corpus.n_mels)
    read_weights(path, model)
    return model.eval()


def has_attention(group: Group) -> bool:
    """Whether some network of the group's recipe has attention pooling."""
    networks = group.runs[0].run.recipe().networks
    kinds = ("self_attention", "multi_head", "attentive_statistics")
    return any(each.pooling in kinds for each in networks)


def read_attention(
    group: Group, utterances: Sequence[HardUtterance], corpus: Corpus
) -> tuple[Attention, ...]:
    """The utterances, each with the weights of the model that did not train on its fold."""
    store, attended = FrameStore(corpus, torch.device("cpu")), []
    models: dict[int, SpeakerClassifier] = {}
    for each in utterances:
        if each.fold not in models:
            run = next(r.run for r in group.runs if r.manifest.fold == each.fold)
            models[each.fold] = load_model(run, corpus)
        attended.append(_attend(models[each.fold], each, store))
    return tuple(attended)


@torch.inference_mode()
def _attend(model: SpeakerClassifier, each: HardUtterance, store: FrameStore) -> Attention:
    length = min(int(store.corpus.lengths[each.row]), FRAMES)
    cut = Segments(np.array([each.row]), np.array([0]), np.array([length]))
    features, mask = store.gather(cut)
    with _pooling_weights(model) as weights:
        model.embed(features, mask)
    mean = np.mean([_resampled(w, length) for w in weights], axis=0) if weights else None
    return Attention(each, features[0].numpy(), mean)


@contextmanager
def _pooling_weights(model: nn.Module) -> Iterator[list[Array]]:
    """The weights (t,) of every attention pooling that the first utterance passes meanwhile."""
    weights: list[Array] = []

    def keep(pooling: Any, inputs: tuple[Tensor, Tensor], _output: Tensor) -> None:
        x, mask = inputs
        weights.append(masked_softmax(pooling.score(x), mask)[0].mean(-1).numpy())

    kinds = (SelfAttentionPooling, MultiHeadPooling, AttentiveStatisticsPooling)
    poolings = [module for module in model.modules() if isinstance(module, kinds)]
    handles = [pooling.register_forward_hook(keep) for pooling in poolings]
    try:
        yield weights
    finally:
        for handle in handles:
            handle.remove()


def _resampled(weights: Array, length: int) -> Array:
    """The weights of `length` frames, from those of fewer (subsampled) frames."""
    place = np.linspace(0, len(weights) - 1, length).round().astype(int)
    return np.asarray(weights[place])


def map_embeddings(
    run: Run, labels: Sequence[int], corpus: Corpus, session: Array | None
) -> Plane | None:
    """The utterances of a few speakers on a plane; `session` (n_train,) are guessed sessions.

    None where there are too few utterances for a plane.
    """
    rows = np.concatenate([np.empty(0, np.int64), *(_evenly(corpus, k) for k in labels[:SPEAKERS])])
    if len(rows) < 3:
        return None
    model, store = load_model(run, corpus), FrameStore(corpus, torch.device("cpu"))
    with torch.inference_mode():
        _, [embedded] = embed_segments([model], store, rows, SEGMENT)
    embeddings = embedded.double().numpy()
    embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    speaker = corpus.labels[rows]
    own = None if session is None else session[np.searchsorted(corpus.train, rows)]
    place, shown = _project(embeddings)
    points = _points(corpus, rows, own, place)
    between = _share_between(embeddings, speaker)
    within = None if own is None else _share_between(embeddings, own) - between
    return Plane(run.name, points, shown, between, within)


def _evenly(corpus: Corpus, label: int) -> Array:
    rows = np.flatnonzero(corpus.labels == label)
    places = np.unique(np.linspace(0, len(rows) - 1, UTTERANCES).round().astype(int))
    return np.asarray(rows[places])


def _project(embeddings: Array) -> tuple[Array, float]:
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="full")
    place = pca.fit_transform(embeddings)
    return place, float(np.nan_to_num(pca.explained_variance_ratio_.sum()))


def _share_between(embeddings: Array, groups: Array) -> float:
    """The share of the variance of `embeddings` (n, d) between `groups` (n,)."""
    centred = embeddings - embeddings.mean(0)
    total = np.square(centred).sum()
    sums = sum(
        (groups == g).sum() * np.square(centred[groups == g].mean(0)).sum()
        for g in np.unique(groups)
    )
    return float(sums / max(total, 1e-12))


def _points(
    corpus: Corpus, rows: Array, session: Array | None, place: Array
) -> tuple[PlanePoint, ...]:
    points = []
    for i, row in enumerate(rows):
        number = None
        if session is not None:
            own = np.unique(session[corpus.labels[rows] == corpus.labels[row]])
            number = int(np.searchsorted(own, session[i])) + 1
        x, y = (round(float(v), 4) + 0.0 for v in place[i])
        points.append(
            PlanePoint(corpus.ids[row], corpus.speakers[corpus.labels[row]], number, x, y)
        )
    return tuple(points)
