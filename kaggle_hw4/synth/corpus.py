"""Writer of the synthetic corpus, in the competition's official layout.

OUT/Dataset/    metadata.json, testdata.json, mapping.json, uttr-<32 hex>.pt
OUT/truth.csv       Id,Category          the speakers of the test set, for a local leaderboard
OUT/sessions.csv    Id,Speaker,Session   of all utterances, to evaluate session clusters
OUT/synth.json      what it was made with: the same command then finds it made
"""

import csv
import errno
import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from kaggle_hw4 import artifact
from kaggle_hw4.competition import N_MELS
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.synth import voice

Entry = dict[str, str | int]

ORIGIN = "synth.json"
MAX_FRAMES = voice.MAX_FRAMES  # 72 s, the longest utterance of the competition: none becomes longer
MAX_UTTERANCES = 1_000_000  # a file each; the competition has 56,666 + 6,000


class Utterance(NamedTuple):
    """A written utterance."""

    id: str  # the file name
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


class Origin(BaseModel):
    """What a corpus was made with; `counts` is what came of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    sizes: tuple[int, int, int, int, int]  # speakers, sessions, utterances, and of the test set
    frames: float
    seed: int
    counts: CorpusCounts | None = None


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
    """Write a corpus to the folder `out`, atomically, and return its counts.

    Each speaker has `sessions` training sessions of `utterances` utterances, and `test_sessions`
    other sessions of `test_utterances` for the test set. Lengths are log-normal with median
    `frames` of 10 ms (595 in a fit to the competition). An utterance is a function of `seed` and of
    its speaker's, session's and own number, whatever the size of the corpus.
    `progress(done, total)` counts utterances.

    A corpus of the same arguments that is there already is left as it is. Raises UsageError for
    sizes below 1 or above their bounds, and DataError if `out` holds anything else.
    """
    if min(speakers, sessions, utterances, test_sessions, test_utterances, frames, seed + 1) < 1:
        raise UsageError("every size of a corpus must be 1 or more, and its seed 0 or more")
    if not frames <= MAX_FRAMES:  # NaN is none either
        reason = f"{frames:g} frames are longer than the longest utterance, {MAX_FRAMES:,}"
        raise UsageError(reason, "choose a shorter median length", parameter="frames")
    count = speakers * (sessions * utterances + test_sessions * test_utterances)
    if count > MAX_UTTERANCES:
        reason = f"{count:,} utterances would be as many files, and {MAX_UTTERANCES:,} is the most"
        raise UsageError(reason, "choose fewer speakers", parameter="speakers")
    sizes = (speakers, sessions, utterances, test_sessions, test_utterances)
    origin = Origin(sizes=sizes, frames=frames, seed=seed)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _written_before(out, origin)
    keys = [*product(range(sessions), range(utterances))]
    keys += product(range(sessions, sessions + test_sessions), range(test_utterances))
    written = []
    try:
        with artifact.new_directory(out) as folder:
            (folder / "Dataset").mkdir()
            for speaker, (session, index) in product(range(speakers), keys):
                key = (seed, speaker, session, index)
                written.append(write_utterance(folder / "Dataset", key, frames))
                if progress:
                    progress(len(written), speakers * len(keys))
            counts = write_index(folder, shuffle(written, seed), sessions)
            record = origin.model_copy(update={"counts": counts})
            artifact.write_text(folder / ORIGIN, record.model_dump_json(indent=1) + "\n")
        return counts
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return _written_before(out, origin)  # by another process, meanwhile


def _written_before(out: Path, origin: "Origin") -> CorpusCounts:
    """The counts of the corpus in `out`, which was written before; DataError if it is another."""
    then = "choose another folder, or delete it"
    if not (out / ORIGIN).is_file():
        raise DataError(f"{out} exists already", then)
    known = artifact.read_model(Origin, out / ORIGIN, "the origin of a synthetic corpus", then)
    if known.counts is None or known.model_copy(update={"counts": None}) != origin:
        raise DataError(f"{out} exists already: a corpus of other sizes, or another seed", then)
    if len(list(out.glob("Dataset/uttr-*.pt"))) != known.counts.train + known.counts.test:
        raise DataError(f"{out} exists already, and utterances of it are missing", then)
    return known.counts


def write_utterance(folder: Path, key: tuple[int, int, int, int], frames: float) -> Utterance:
    """Write the utterance of `key` (seed, speaker, session, index) as a tensor (T, 40)."""
    seed, speaker, session, _ = key
    features = voice.utterance(*key, frames)
    name = f"uttr-{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.pt"
    buffer = io.BytesIO()  # torch's own writer calls a full disk a RuntimeError
    torch.save(torch.from_numpy(features), buffer)
    with artifact.named_errors(folder / name):
        (folder / name).write_bytes(buffer.getvalue())
    return Utterance(name, speaker_name(seed, speaker), session, len(features))


def speaker_name(seed: int, speaker: int) -> str:
    """A name in the style of the competition's: 600 speakers are between id00036 and id09035."""
    return f"id{36 + 15 * speaker + np.random.default_rng([seed, 4, speaker]).integers(15):05d}"


def shuffle(utterances: Sequence[Utterance], seed: int) -> list[Utterance]:
    """`utterances` in an order independent of speakers and sessions."""
    order = np.random.default_rng([seed, 5]).permutation(len(utterances))
    return [utterances[i] for i in order]


def write_index(out: Path, utterances: Sequence[Utterance], sessions: int) -> CorpusCounts:
    """Write the JSON files and tables; sessions below `sessions` are for training."""
    train: dict[str, list[Entry]] = {}
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


def entry(utterance: Utterance) -> Entry:
    """The entry of an utterance in the JSON files."""
    return {"feature_path": utterance.id, "mel_len": utterance.frames}


def write_dataset(folder: Path, train: dict[str, list[Entry]], test: list[Entry]) -> None:
    """Write the three JSON files of the competition."""
    labels = {speaker: label for label, speaker in enumerate(sorted(train))}
    names = {str(label): speaker for speaker, label in labels.items()}
    metadata = {"n_mels": N_MELS, "speakers": train}
    testdata = {"n_mels": N_MELS, "utterances": test}
    artifact.write_json(folder / "metadata.json", metadata)
    artifact.write_json(folder / "testdata.json", testdata)
    artifact.write_json(folder / "mapping.json", {"speaker2id": labels, "id2speaker": names})


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with artifact.named_errors(path), path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
