"""The embedded corpus: synthetic speakers in the competition's official layout.

OUT/Dataset/{metadata,testdata,mapping}.json, uttr-<32 hex>.pt   what the competition ships
OUT/truth.csv      Id,Category           the test set's speakers: a stand-in for the leaderboard
OUT/sessions.csv   Id,Speaker,Session    all utterances: what a guess at sessions is scored by
"""

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kaggle_hw4 import artifact
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.synth import room, voice


class Utterance(NamedTuple):
    id: str  # its file's name
    speaker: str
    session: int
    frames: int


@dataclass(frozen=True)
class CorpusCounts:
    """What a corpus holds: speakers, utterances for training and test, frames of 10 ms."""

    speakers: int
    train: int
    test: int
    frames: int


def write_corpus(
    out: Path,
    *,
    speakers: int = 40,
    sessions: int = 6,
    utterances: int = 4,
    test_sessions: int = 2,
    test_utterances: int = 3,
    frames: float = 300,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CorpusCounts:
    """Write a corpus to `out`, whole or not at all; return how many of what it holds.

    Each speaker has `sessions` sessions of `utterances` for training, and for the test
    `test_sessions` others of `test_utterances`. Lengths are log-normal with median `frames` of
    10 ms (595 in the competition). Utterances depend on `seed` and on their own speaker's,
    session's and utterance's number, not on how many others there are. `progress` is told how
    many utterances of how many are written.
    """
    if min(speakers, sessions, utterances, test_sessions, test_utterances, frames, seed + 1) < 1:
        raise UsageError("a corpus needs one or more of everything, and a seed of 0 or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is there already", "name a new folder, or remove that one")
    parts = [*product(range(sessions), range(utterances))]
    parts += product(range(sessions, sessions + test_sessions), range(test_utterances))
    written = []
    with artifact.new_directory(out) as made:
        (made / "Dataset").mkdir()
        for speaker, (session, index) in product(range(speakers), parts):
            key = (seed, speaker, session, index)
            written.append(write_utterance(made / "Dataset", key, frames))
            if progress:
                progress(len(written), speakers * len(parts))
        return write_index(made, shuffled(written, seed), sessions)


def write_utterance(folder: Path, key: tuple[int, int, int, int], frames: float) -> Utterance:
    """Write the utterance of `key` (seed, speaker, session, index) as a tensor (T, 40)."""
    seed, speaker, session, _ = key
    features = voice.utterance(*key, frames)
    name = f"uttr-{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.pt"
    torch.save(torch.from_numpy(features), folder / name)
    return Utterance(name, speaker_name(seed, speaker), session, len(features))


def speaker_name(seed: int, speaker: int) -> str:
    """Names as the competition's: 600 speakers lie between id00036 and id09035."""
    return f"id{36 + 15 * speaker + np.random.default_rng([seed, 4, speaker]).integers(15):05d}"


def shuffled(utterances: Sequence[Utterance], seed: int) -> list[Utterance]:
    """In an order that tells nothing of speakers and sessions."""
    order = np.random.default_rng([seed, 5]).permutation(len(utterances))
    return [utterances[i] for i in order]


def write_index(out: Path, utterances: Sequence[Utterance], sessions: int) -> CorpusCounts:
    """Write all but the features; training has the sessions below `sessions`."""
    train: dict[str, list[dict[str, str | int]]] = {}
    for u in utterances:
        if u.session < sessions:
            train.setdefault(u.speaker, []).append(entry(u))
    test = [u for u in utterances if u.session >= sessions]
    write_dataset(out / "Dataset", train, [entry(u) for u in test])
    write_csv(out / "truth.csv", ("Id", "Category"), ((u.id, u.speaker) for u in test))
    write_csv(out / "sessions.csv", ("Id", "Speaker", "Session"), (u[:3] for u in utterances))
    return CorpusCounts(
        speakers=len(train),
        train=len(utterances) - len(test),
        test=len(test),
        frames=sum(u.frames for u in utterances),
    )


def entry(utterance: Utterance) -> dict[str, str | int]:
    return {"feature_path": utterance.id, "mel_len": utterance.frames}


def write_dataset(
    folder: Path, train: dict[str, list[dict[str, str | int]]], test: list[dict[str, str | int]]
) -> None:
    """The three JSON files of the competition."""
    labels = {speaker: label for label, speaker in enumerate(sorted(train))}
    names = {str(label): speaker for speaker, label in labels.items()}
    metadata = {"n_mels": room.BANDS, "speakers": train}
    testdata = {"n_mels": room.BANDS, "utterances": test}
    artifact.write_json(folder / "metadata.json", metadata)
    artifact.write_json(folder / "testdata.json", testdata)
    artifact.write_json(folder / "mapping.json", {"speaker2id": labels, "id2speaker": names})


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
