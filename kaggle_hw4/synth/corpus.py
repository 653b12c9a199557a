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


class Arguments(BaseModel):
    """What `write_corpus` was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speakers: int
    sessions: int
    utterances: int
    test_sessions: int
    test_utterances: int
    frames: float
    seed: int

    @property
    def of_speaker(self) -> int:
        """How many utterances each speaker has."""
        return self.sessions * self.utterances + self.test_sessions * self.test_utterances

    @property
    def keys(self) -> list[tuple[int, int]]:
        """(Session, index) of each utterance of a speaker; the test sessions come last."""
        test = range(self.sessions, self.sessions + self.test_sessions)
        return [
            *product(range(self.sessions), range(self.utterances)),
            *product(test, range(self.test_utterances)),
        ]


class Origin(BaseModel):
    """What a corpus was made with, and what came of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    arguments: Arguments
    counts: CorpusCounts


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
    arguments = Arguments(
        speakers=speakers,
        sessions=sessions,
        utterances=utterances,
        test_sessions=test_sessions,
        test_utterances=test_utterances,
        frames=frames,
        seed=seed,
    )
    _check(arguments)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _written_before(out, arguments)
    try:
        with artifact.new_directory(out) as folder:
            return _write(folder, arguments, progress)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return _written_before(out, arguments)  # by another process, meanwhile


def _check(arguments: Arguments) -> None:
    """Raise UsageError for sizes that are too small or too large, before any work."""
    values = arguments.model_dump()
    if min(values.pop("seed") + 1, *values.values()) < 1:
        raise UsageError("every size of a corpus must be 1 or more, and its seed 0 or more")
    if not arguments.frames <= MAX_FRAMES:  # NaN is none either
        longest = f"longer than the longest utterance, {MAX_FRAMES:,}"
        reason = f"{arguments.frames:g} frames are {longest}"
        raise UsageError(reason, "choose a shorter median length", parameter="frames")
    count = arguments.speakers * arguments.of_speaker
    if count > MAX_UTTERANCES:
        reason = f"{count:,} utterances would be as many files, and {MAX_UTTERANCES:,} is the most"
        raise UsageError(reason, "choose fewer speakers", parameter="speakers")


def _write(
    folder: Path, arguments: Arguments, progress: Callable[[int, int], None] | None
) -> CorpusCounts:
    """Write all files of a corpus into an empty folder."""
    keys, written = arguments.keys, list[Utterance]()
    (folder / "Dataset").mkdir()
    for speaker, (session, index) in product(range(arguments.speakers), keys):
        key = (arguments.seed, speaker, session, index)
        written.append(write_utterance(folder / "Dataset", key, arguments.frames))
        if progress:
            progress(len(written), arguments.speakers * len(keys))
    counts = write_index(folder, shuffle(written, arguments.seed), arguments.sessions)
    origin = Origin(arguments=arguments, counts=counts)
    artifact.write_text(folder / ORIGIN, origin.model_dump_json(indent=1) + "\n")
    return counts


def _written_before(out: Path, arguments: Arguments) -> CorpusCounts:
    """The counts of the corpus in `out`, which was written before; DataError if it is another."""
    then = "choose another folder, or delete it"
    if not (out / ORIGIN).is_file():
        raise DataError(f"{out} exists already", then)
    known = artifact.read_model(Origin, out / ORIGIN, "the origin of a synthetic corpus", then)
    if known.arguments != arguments:
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
    try:
        (folder / name).write_bytes(buffer.getvalue())
    except OSError as error:
        reason = f"{folder / name} cannot be written ({error.strerror})"
        raise DataError(reason, "is the disk full?") from error
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
