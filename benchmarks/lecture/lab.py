"""The corpus, small trained models, and what they make of changed test utterances."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from benchmarks.lecture.claims import Hits
from kaggle_hw4.artifact import write_bytes
from kaggle_hw4.data.batches import Batch, Batches
from kaggle_hw4.data.corpus import Corpus, open_corpus
from kaggle_hw4.data.folds import Folds, find_folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.inference.weights import read_weights, weights_bytes
from kaggle_hw4.kaggle.submissions import read_submission
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.classifier import SpeakerClassifier, SpeakerNetwork
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.training.checkpoint import State
from kaggle_hw4.training.optimizer import make_optimizer
from kaggle_hw4.training.step import Step, seed_step
from kaggle_hw4.workspace import Workspace, shipped

CPU = torch.device("cpu")
BATCH, FRAMES = 24, 100  # segments of a step, and their length; test utterances at a time
SMALL = {"d_model": 64, "n_layers": 2, "n_heads": 4, "d_ffn": 128, "dropout": 0.0, "groups": 4}
Change = Callable[[Tensor, np.random.Generator], Tensor]  # of an utterance's frames (T, D)


@dataclass(frozen=True)
class Task:
    """What is to be classified: so many classes; `change` gives a batch its labels."""

    name: str
    classes: int
    change: Callable[[Batch], Batch] | None = None


@dataclass(frozen=True)
class Lab:
    """A packed and split corpus with the answers of its test set, whose sessions are unseen.

    Every model is trained from each of `seeds`, for so many `steps`; a finished run is not trained
    again.
    """

    name: str
    place: Workspace
    truth: Path
    steps: int
    seeds: tuple[int, ...] = (0, 1, 2)
    models: dict[str, list[SpeakerClassifier]] = field(default_factory=dict)

    @cached_property
    def corpus(self) -> Corpus:
        return open_corpus(self.place.corpus)

    @cached_property
    def folds(self) -> Folds:
        return find_folds(self.place.folds, self.corpus, None)

    @cached_property
    def store(self) -> FrameStore:
        return FrameStore(self.corpus, CPU)

    @cached_property
    def speakers(self) -> npt.NDArray[np.int64]:
        """The labels (N,) of the test utterances."""
        named, corpus = dict(read_submission(self.truth)), self.corpus
        return np.array([corpus.speakers.index(named[corpus.ids[row]]) for row in corpus.test])

    @cached_property
    def test(self) -> list[Tensor]:
        """The test utterances' frames, each (T, n_mels)."""
        return [self.frames(int(row)) for row in self.corpus.test]

    @property
    def longest(self) -> Tensor:
        """A test utterance to be shown: the median of the longer half, at most 200 frames."""
        order = sorted(self.test, key=len)
        return order[3 * len(order) // 4][:200]

    def frames(self, row: int) -> Tensor:
        start, length = int(self.corpus.offsets[row]), int(self.corpus.lengths[row])
        return self.corpus.frames[start : start + length].float()

    def recipe(self, name: str, **network: Any) -> Recipe:
        """A shipped recipe, made small by one rule for all, with `network`'s values laid over it;
        those of another section are named `section__key`.
        """
        sections = read_recipe(shipped(f"pipelines/variants/{name}.toml")).sections()
        sections["networks"] = [small_network(sections["networks"][0], network)]
        steps = self.steps
        sections["segments"] |= {"batch_size": BATCH, "frames": FRAMES}
        sections["schedule"] = {
            "steps": steps, "warmup_steps": steps // 10, "validate_every": steps,
        }  # fmt: skip
        sections["optimizer"] |= {"learning_rate": 3e-3, "clip_norm": 1.0, "ema_decay": 0.98}
        sections["loss"]["margin_warmup_steps"] = steps // 4
        sections["large_margin_fine_tuning"]["steps"] = 0
        sections["predict"] |= {"segments": 0, "spreading_neighbours": 0, "weights": "ema"}
        sections["predict"]["self_training"] = False
        for key, value in network.items():
            if "__" in key:
                section, name_of_key = key.split("__")
                sections[section][name_of_key] = value
        return Recipe.model_validate(sections)

    def train(self, name: str, task: Task | None = None, **changes: Any) -> list[SpeakerClassifier]:
        """The recipe's models, one from each seed, for evaluation; each holds out another fold. A
        `task` gives them other labels than the speakers.
        """
        task, recipe = task or Task("", len(self.corpus.speakers)), self.recipe(name, **changes)
        key = f"{name.replace('/', '-')}{task.name}-{recipe.hash}"
        if key not in self.models:
            with torch.inference_mode(False), torch.enable_grad():  # whoever asks for them
                self.models[key] = [self._trained(key, task, recipe, seed) for seed in self.seeds]
        return self.models[key]

    def _trained(self, key: str, task: Task, recipe: Recipe, seed: int) -> SpeakerClassifier:
        """As hw4 trains them, without validations and predictions: the EMA weights at the end."""
        path = self.place.root / "models" / f"{key}-seed{seed}.safetensors"
        torch.manual_seed(seed)
        model = build_model(recipe, task.classes, self.corpus.n_mels)
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            write_bytes(path, weights_bytes(self._take_steps(model, task, recipe, seed)))
            say(f"{path.stem}: trained")
        read_weights(path, model)
        return model.eval()

    def _take_steps(
        self, model: SpeakerClassifier, task: Task, recipe: Recipe, seed: int
    ) -> SpeakerClassifier:
        """A training from `seed`, which holds out a fold of its own."""
        state = State.start(model, make_optimizer(model, recipe.optimizer), CPU)
        rows = self.folds.training(seed % self.folds.count)
        batches = Batches(self.store, rows, self.folds.session, recipe, seed)
        take_step = Step(state, recipe)
        for step in range(recipe.schedule.steps):
            seed_step(state, seed)
            batch = batches.at(step, step)
            take_step(batch if task.change is None else task.change(batch))
        return state.ema

    def hits(self, models: Sequence[SpeakerClassifier], **changes: Any) -> Hits:
        """Which test utterances each of the models recognises: (models, N)."""
        return np.stack([self.logits(m, **changes).argmax(1) == self.speakers for m in models])

    def logits(self, model: SpeakerClassifier, **changes: Any) -> npt.NDArray[np.float32]:
        """Plain logits (N, C) of the test utterances, changed or not: see `embed`."""
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = model.head(self.embed(model, **changes)).numpy()
        return logits

    @torch.inference_mode()
    def embed(
        self,
        model: SpeakerClassifier,
        before: Change | None = None,
        after: Change | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Embeddings (N, D) of the test utterances, whose frames are changed `before` or `after`
        the features are normalised.
        """
        [network] = model.networks
        utterances = []
        for i, x in enumerate(self.test):
            random = np.random.default_rng([seed, i])
            x = x if before is None else before(x, random)
            x = network.frontend(x[None], None)[0]
            utterances.append(x if after is None else after(x, random))
        order = sorted(range(len(utterances)), key=lambda i: len(utterances[i]))
        parts = [
            embed_normalised(network, [utterances[i] for i in order[k : k + BATCH]])
            for k in range(0, len(order), BATCH)
        ]
        return torch.cat(parts)[np.argsort(order)]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def small_network(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A network's values, narrow and shallow, with the `changes` that are its own."""
    values = config | {key: SMALL[key] for key in SMALL.keys() & config.keys()}
    if config["encoder"] == "graph" and not config["n_heads"]:
        values["n_heads"] = 0  # a GCN has none
    if values.get("kernel_size", 0) > 15:
        values["kernel_size"] = 15
    values |= {key: value for key, value in changes.items() if "__" not in key}
    values["count"] = 1
    # So that poolings of every width can be compared, and no head makes the difference.
    values |= {"embedding": "batch_norm_linear", "d_embedding": 64}
    return values


def embed_normalised(network: SpeakerNetwork, utterances: Sequence[Tensor]) -> Tensor:
    """Embeddings (B, D) of normalised utterances, padded to the longest."""
    padded = pad_sequence(list(utterances), batch_first=True)
    lengths = torch.tensor([len(x) for x in utterances])
    mask = torch.arange(padded.shape[1]) < lengths[:, None]
    encoded, mask = network.encoder(padded, mask)
    embedded: Tensor = network.embedding(network.pooling(encoded.float(), mask))
    return embedded


@contextmanager
def captured(*modules: nn.Module) -> Iterator[list[tuple[Any, Any]]]:
    """The (inputs, output) of every call of the modules meanwhile, in their order."""
    calls: list[tuple[Any, Any]] = []

    def keep(_module: nn.Module, inputs: Any, output: Any) -> None:
        calls.append((inputs, output))

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
