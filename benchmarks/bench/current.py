"""The package as it is: the only module here that calls its training and its prediction.

`baseline` is the same for the package as it was at the commit that it is compared with. Both are
imported by `worker`, and offer `Training`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bench.frames import MIN_FRAMES, Utterances, random_utterances
from kaggle_hw4.data.batches import Batches
from kaggle_hw4.data.channel import ChannelStatistics
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.segments import FrameStore, Segments
from kaggle_hw4.ensemble.blend import blend
from kaggle_hw4.ensemble.members import find_members
from kaggle_hw4.inference.embed import WHOLE, even_segments
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.models.build import build_model, count_parameters
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.models.conformer import ConformerLayer
from kaggle_hw4.networks import ConformerConfig
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.runs import find_runs
from kaggle_hw4.training.checkpoint import State
from kaggle_hw4.training.memory import keep_freed_memory
from kaggle_hw4.training.optimizer import make_optimizer
from kaggle_hw4.training.step import Step, seed_step
from kaggle_hw4.workspace import shipped


def recipe_of(variant: str, settings: Sequence[str]) -> Recipe:
    return read_recipe(shipped(f"pipelines/variants/{variant}.toml"), settings)


def corpus_of(utterances: Utterances) -> Corpus:
    """A corpus in memory, whose channel statistics are zeros."""
    n, bands = len(utterances.lengths), utterances.frames.shape[1]
    zeros = np.zeros((n, bands), np.float32)
    return Corpus(
        folder=Path(),
        hash="",
        edition=None,
        n_mels=bands,
        speakers=tuple(f"id{i:05}" for i in range(utterances.speakers)),
        ids=utterances.ids,
        labels=utterances.labels,
        offsets=utterances.offsets,
        lengths=utterances.lengths,
        channels=ChannelStatistics(zeros, zeros, zeros, np.zeros((n, 2 * bands), np.float32)),
        frames=utterances.frames,
    )


class Training:
    """A training of `variant`, to be timed some steps at a time."""

    def __init__(
        self,
        variant: str,
        settings: Sequence[str],
        precision: str,
        utterances: Utterances,
        device: str = "cpu",
    ) -> None:
        keep_freed_memory()  # as every training does
        self.recipe = recipe_of(variant, settings)
        corpus = corpus_of(utterances)
        self.store = FrameStore(corpus, torch.device(device))
        sessions = np.arange(len(corpus.train)) % 10
        self.batches = Batches(self.store, corpus.train, sessions, self.recipe, seed=0)
        torch.manual_seed(0)
        model = build_model(self.recipe, utterances.speakers).to(device)
        model.precision = precision
        optimizer = make_optimizer(model, self.recipe.optimizer)
        self.state = State.start(model, optimizer, self.store.device)
        self.take_step = Step(self.state, self.recipe)
        self.parameters = count_parameters(model)

    def steps(self, count: int) -> None:
        for _ in range(count):
            seed_step(self.state, 0)
            self.take_step(self.batches.at(self.state.step))
        self.state.since_report.tolist()  # waits for the device

    def feed(self, count: int) -> None:
        """Draw, gather and augment the batches of as many steps."""
        for step in range(self.state.step, self.state.step + count):
            self.batches.at(step)
        wait(self.store.device)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def classifier(
    variant: str, settings: Sequence[str], speakers: int, device: str = "cpu"
) -> SpeakerClassifier:
    """The model of `variant`, with random weights, in float32."""
    torch.manual_seed(0)
    return build_model(recipe_of(variant, settings), speakers).eval().to(device)


def predict(
    model: SpeakerClassifier, utterances: Utterances, segments: int = 0, frames: int = 1
) -> np.ndarray:
    """Logits (N, C) of the test utterances: whole, or the mean over segments of each."""
    store = FrameStore(corpus_of(utterances), next(model.parameters()).device)
    plan = WHOLE.model_copy(update={"segments": segments, "frames": [frames]})
    return predict_logits(model, store, store.corpus.test, plan)


def segments_of(length: int, count: int, frames: int) -> list[tuple[int, int]]:
    """(start, length) of each segment that predicts an utterance."""
    return [(int(s), int(n)) for s, n in even_segments(np.array([length]), count, frames)[1]]


def sample_weights(model: SpeakerClassifier) -> dict[str, torch.Tensor]:
    """The weights of `simple`, by their names in `sample.Classifier`."""
    [network] = model.networks
    layer: Any = network.encoder.layers[0]
    first, last = [m for m in layer.feed_forward.modules() if isinstance(m, torch.nn.Linear)]
    modules = {
        "prenet.": network.encoder.stem,
        "encoder_layer.self_attn.in_proj_": layer.attention.qkv,
        "encoder_layer.self_attn.out_proj.": layer.attention.out,
        "encoder_layer.norm1.": layer.attention_norm,
        "encoder_layer.linear1.": first,
        "encoder_layer.linear2.": last,
        "encoder_layer.norm2.": layer.feed_forward_norm,
        "pred_layer.0.": network.embedding[0],
        "pred_layer.2.": network.head,
    }
    return {
        f"{name}{kind}": value
        for name, module in modules.items()
        for kind, value in module.state_dict().items()
    }


def conformer_block(
    size: dict[str, Any], batch: int, frames: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Boss's Conformer layer at `size`, with the mask that a training gives it where no segment
    of the `batch` has padding.
    """
    network = recipe_of("boss", ()).networks[0].model_copy(update=size)
    assert isinstance(network, ConformerConfig)
    layer = ConformerLayer(network, 0)
    store = FrameStore(corpus_of(random_utterances(batch, 1)), torch.device("cpu"))
    starts, lengths = np.zeros(batch, np.int64), np.full(batch, min(frames, MIN_FRAMES))
    _, mask = store.gather(Segments(np.arange(batch), starts, lengths))
    if mask is not None:
        mask = torch.ones(batch, frames, dtype=torch.bool)
    return lambda x: layer(x, mask)


def blend_members(folder: Path, y: np.ndarray) -> None:
    """Blend the runs in `folder`; y: (N,) true labels."""
    blend(find_members(find_runs([folder])), {f"u{i}": int(label) for i, label in enumerate(y)})
