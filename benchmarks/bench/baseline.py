"""The package as it was at commit eb80930, in the terms of `current`; only `worker` imports it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from kaggle_hw4.data.packed import Packed

from benchmarks.bench.frames import Utterances
from kaggle_hw4.data.batches import Batches
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.models import build_model, count_parameters
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.training.checkpoint import State
from kaggle_hw4.training.loop import train_step
from kaggle_hw4.training.optimizer import make_optimizer
from kaggle_hw4.workspace import shipped

OLD_KEYS = {
    "networks.0.": "model.",
    "networks.1.": "second.",
    "networks.": "model.",
    ".count=": ".copies=",
    "margin_warmup_steps": "margin_warmup",
    "large_margin_fine_tuning.": "fine_tuning.",
}


def old_setting(setting: str) -> str:
    """A setting of today's recipes by the name that its key had."""
    for now, then in OLD_KEYS.items():
        setting = setting.replace(now, then)
    return setting


class Training:
    """As `current.Training`; its precision was float32 on a CPU and bf16 on cards that have it."""

    def __init__(
        self,
        variant: str,
        settings: Sequence[str],
        _precision: str,
        utterances: Utterances,
        device: str = "cpu",
    ) -> None:
        path = shipped(f"pipelines/variants/{variant}.toml")
        self.recipe = read_recipe(path, [old_setting(each) for each in settings])
        packed = packed_of(utterances)
        self.store = FrameStore(packed, torch.device(device))
        sessions = np.arange(len(packed.train)) % 10
        self.batches = Batches(self.store, packed.train, sessions, self.recipe, seed=0)
        torch.manual_seed(0)
        model = build_model(self.recipe, utterances.speakers).to(device)
        optimizer = make_optimizer(model, self.recipe.optimizer)
        self.state = State.start(model, optimizer, self.store.device)
        self.parameters = count_parameters(model)

    def steps(self, count: int) -> None:
        for _ in range(count):
            train_step(self.state, self.batches)
        self.state.since_report.tolist()  # waits for the device

    def feed(self, count: int) -> None:
        for step in range(self.state.step, self.state.step + count):
            self.batches.at(step)
        self.state.since_report.tolist()


def packed_of(utterances: Utterances) -> Packed:
    return Packed(
        folder=Path(),
        hash="",
        n_mels=utterances.frames.shape[1],
        speakers=tuple(f"id{i:05}" for i in range(utterances.speakers)),
        ids=utterances.ids,
        labels=utterances.labels,
        offsets=utterances.offsets,
        lengths=utterances.lengths,
        frames=utterances.frames,
    )
