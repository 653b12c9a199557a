"""The official layout of the competition with random frames, and what its disk gives."""

import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.bench.frames import N_MELS, TEST_SHARE, random_lengths
from benchmarks.bench.machine import seconds

SESSIONS, PER_SESSION = 10, 5  # of a speaker in the training set; test utterances of a session


@dataclass(frozen=True)
class OfficialFolder:
    """A folder in the official layout; the utterances of a speaker follow one another."""

    path: Path
    rows: list[tuple[str, int, int]]  # file name, frames, speaker: training, then test
    tests: int

    @property
    def bytes(self) -> int:
        return sum(4 * N_MELS * frames for _, frames, _ in self.rows)

    @property
    def training_bytes(self) -> int:
        return sum(4 * N_MELS * frames for _, frames, speaker in self.rows if speaker >= 0)

    def part(self, path: Path, count: int) -> "OfficialFolder":
        """A folder with the first speakers alone; the files are the same ones (hard links)."""
        train, tests = self.rows[: -self.tests], self.rows[-self.tests :]
        share = round(count * TEST_SHARE)
        last = train[count - share - 1][2] + 1
        rows = [*train[: count - share], *tests[:share]]
        path.mkdir(parents=True)
        for name, _, _ in rows:
            os.link(self.path / name, path / name)
        return write_index(path, rows, share, last)


def write_official(path: Path, count: int, speakers: int) -> OfficialFolder:
    """`count` utterances. Every session of a speaker has its channel: the split has work to do."""
    path.mkdir(parents=True)
    random = np.random.default_rng(0)
    tests = round(count * TEST_SHARE)
    lengths = random_lengths(count, random)
    speaker = np.sort(np.arange(count - tests) % speakers)
    session = speaker * SESSIONS + np.arange(count - tests) % SESSIONS
    unseen = session.max() + 1 + np.arange(tests) // PER_SESSION
    room = random.normal(0, 1, (int(unseen.max(initial=0)) + 1, N_MELS)).astype(np.float32)
    noise = random.normal(-2, 3, (200_000, N_MELS)).astype(np.float32)
    rows = []
    for i, channel in enumerate(np.concatenate([session, unseen])):
        start = random.integers(0, len(noise) - lengths[i])
        frames = noise[start : start + lengths[i]] + room[channel]
        name, buffer = f"uttr-{i:032x}.pt", io.BytesIO()
        torch.save(torch.from_numpy(frames), buffer)
        (path / name).write_bytes(buffer.getbuffer())
        rows.append((name, int(lengths[i]), int(speaker[i]) if i < count - tests else -1))
    return write_index(path, rows, tests, speakers)


def write_index(
    path: Path, rows: list[tuple[str, int, int]], tests: int, speakers: int
) -> OfficialFolder:
    """Write the three JSON files."""
    names = [f"id{i:05}" for i in range(speakers)]
    train: dict[str, list[dict[str, str | int]]] = {name: [] for name in names}
    for name, frames, speaker in rows[: len(rows) - tests]:
        train[names[speaker]].append({"feature_path": name, "mel_len": frames})
    test = [{"feature_path": n, "mel_len": frames} for n, frames, _ in rows[len(rows) - tests :]]
    labels = {name: i for i, name in enumerate(names)}
    files = {
        "metadata": {"n_mels": N_MELS, "speakers": train},
        "testdata": {"n_mels": N_MELS, "utterances": test},
        "mapping": {"speaker2id": labels, "id2speaker": {str(i): n for n, i in labels.items()}},
    }
    for name, value in files.items():
        (path / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return OfficialFolder(path, rows, tests)


def read_files(folder: OfficialFolder) -> float:
    """Seconds to read all of its files and do nothing with them."""

    def read() -> None:
        for name, _, _ in folder.rows:
            (folder.path / name).read_bytes()

    return seconds(read)


def disk_rates(folder: Path, megabytes: int) -> tuple[float, float]:
    """GB/s of writing a file in `folder` with fsync, and of reading it from the disk."""
    path, block = folder / "rate.bin", os.urandom(2**20)

    def write() -> None:
        with path.open("wb") as file:
            for _ in range(megabytes):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            while file.read(2**20):
                pass

    size = megabytes * 2**20 / 1e9
    written = size / seconds(write)
    with path.open("rb") as file:  # out of the cache
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    rate = written, size / seconds(read)
    path.unlink()
    return rate


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
