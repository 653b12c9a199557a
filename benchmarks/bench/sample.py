"""The way of the competition's sample notebook, written from its description: a file an utterance,
eight workers, padding in the collate function, a loop that reads every loss; inference of one
utterance at a time.
"""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

PADDING = -20.0


class TrainingFiles(Dataset[tuple[Tensor, int]]):
    """A random crop of the file of an utterance, and the index of its speaker."""

    def __init__(self, folder: Path, crop: int) -> None:
        labels = json.loads((folder / "mapping.json").read_text())["speaker2id"]
        speakers = json.loads((folder / "metadata.json").read_text())["speakers"]
        self.folder, self.crop = folder, crop
        self.rows = [
            (row["feature_path"], labels[speaker])
            for speaker, rows in speakers.items()
            for row in rows
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        name, label = self.rows[index]
        mel = torch.load(self.folder / name)
        if len(mel) > self.crop:
            start = random.randint(0, len(mel) - self.crop)  # noqa: S311
            mel = mel[start : start + self.crop]
        return mel.float(), label


class TestFiles(Dataset[tuple[str, Tensor]]):
    """The name and the frames of an utterance of the test set."""

    def __init__(self, folder: Path) -> None:
        rows = json.loads((folder / "testdata.json").read_text())["utterances"]
        self.folder, self.names = folder, [row["feature_path"] for row in rows]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[str, Tensor]:
        return self.names[index], torch.load(self.folder / self.names[index])


def collate(batch: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    mels, labels = zip(*batch, strict=True)
    padded = pad_sequence(mels, batch_first=True, padding_value=PADDING)
    return padded, torch.tensor(labels)


def collate_test(batch: Sequence[tuple[str, Tensor]]) -> tuple[tuple[str, ...], Tensor]:
    names, mels = zip(*batch, strict=True)
    return names, torch.stack(mels)


class Classifier(nn.Module):
    """(B, T, 40) → (B, speakers); padding is no different from speech."""

    def __init__(self, speakers: int, width: int = 80) -> None:
        super().__init__()
        self.prenet = nn.Linear(40, width)
        self.encoder_layer = nn.TransformerEncoderLayer(width, nhead=2, dim_feedforward=256)
        self.pred_layer = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, speakers)
        )

    def forward(self, mels: Tensor) -> Tensor:
        out = self.prenet(mels).permute(1, 0, 2)  # (T, B, D)
        out = self.encoder_layer(out).transpose(0, 1)
        logits: Tensor = self.pred_layer(out.mean(dim=1))
        return logits


def rate(step: int, warmup: int = 1000, steps: int = 70_000) -> float:
    """The factor of the learning rate: linear warm-up, then half a cosine."""
    if step < warmup:
        return step / warmup
    return max(0.0, 0.5 * (1 + float(np.cos(np.pi * (step - warmup) / (steps - warmup)))))


class SampleTraining:
    """Its training loop, to be timed some steps at a time."""

    def __init__(self, folder: Path, speakers: int, workers: int, device: str) -> None:
        self.loader = DataLoader(
            TrainingFiles(folder, crop=128),
            batch_size=32,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=device == "cuda",
        )
        self.batches = iter(self.loader)
        self.device = device
        self.model = Classifier(speakers).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)
        self.losses: list[float] = []

    def steps(self, count: int) -> None:
        for _ in range(count):
            mels, labels = (each.to(self.device) for each in self._next())
            logits = self.model(mels)
            loss = nn.functional.cross_entropy(logits, labels)
            accuracy = (logits.argmax(1) == labels).float().mean()
            self.losses = [loss.item(), accuracy.item()]  # for its progress bar
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()

    def _next(self) -> tuple[Tensor, Tensor]:
        try:
            return next(self.batches)  # type: ignore[no-any-return]
        except StopIteration:
            self.batches = iter(self.loader)
            return next(self.batches)  # type: ignore[no-any-return]


Batches = Iterable[tuple[tuple[str, ...], Tensor]]


@torch.no_grad()
def infer(model: Classifier, batches: Batches) -> Tensor:
    """Logits (N, C) of the test utterances, each whole and in a batch of its own."""
    device = next(model.parameters()).device
    return torch.cat([model(mels.to(device)).cpu() for _, mels in batches])


@torch.no_grad()
def infer_segments(
    model: Classifier, segments: dict[int, list[tuple[int, int]]], batches: Batches
) -> Tensor:
    """The means (N, C) over the (start, length) of segments, each in a batch of its own;
    `segments` are those of an utterance of so many frames.
    """
    means, device = [], next(model.parameters()).device
    for _, read in batches:
        mels = read.to(device)
        parts = [model(mels[:, start : start + n]) for start, n in segments[mels.shape[1]]]
        means.append(torch.stack(parts).mean(0).cpu())
    return torch.cat(means)


def test_batches(folder: Path, workers: int) -> Batches:
    """The test set as the notebook loads it."""
    files = TestFiles(folder)
    return DataLoader(files, batch_size=1, num_workers=workers, collate_fn=collate_test)
