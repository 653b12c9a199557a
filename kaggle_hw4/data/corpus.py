"""A corpus: all frames in one flat, memory-mapped array. Reader and writer of its folder.

frames.bin           all frames (N, n_mels), utterance after utterance, float16 or float32; or
frames-00000.bin, …  the same in files of some GiB (`data.frames`)
utterances.csv       id, label (-1: test) and number of frames of every utterance
channel.safetensors  channel statistics of every utterance (`data.channel`)
corpus.json          the manifest: speakers, edition, hashes; written last

torch is imported where frames are used, not before: scores and fold tables need none of it.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kaggle_hw4.artifact import (
    new_directory,
    provenance,
    sha256_file,
    verify,
    write_text,
)
from kaggle_hw4.competition import Edition, edition_named
from kaggle_hw4.data.channel import (
    CHANNELS,
    ChannelStatistics,
    concatenate,
    describe_channel,
    read_channels,
    write_channels,
)
from kaggle_hw4.data.frames import DTYPES, LazyFrames, open_frames, write_frames
from kaggle_hw4.data.levels import Levels, Moments
from kaggle_hw4.data.manifest import (
    FORMAT,
    REMEDY,
    TABLE,
    CorpusManifest,
    corpus_hash,
    is_old,
    old_sources,
    read_manifest,
    write_manifest,
)
from kaggle_hw4.data.swap import lock_of, recover, restore, swap_in
from kaggle_hw4.errors import DataError
from kaggle_hw4.locks import locked
from kaggle_hw4.progress import Bar, Progress, no_bar

LAZY = LazyFrames()

__all__ = ["DTYPES", "Corpus", "open_corpus", "pack"]

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from kaggle_hw4.data.official import OfficialDataset


@dataclass(frozen=True)
class Corpus:
    """A corpus as arrays. Rows 0 … n_train-1 are the training utterances, in metadata order;
    the rows after them are the test utterances, in testdata order.
    """

    folder: Path
    hash: str  # of the frames, the table and the speakers, whatever dataset folder they came from
    edition: Edition | None  # of the competition; None where the test set is no edition's
    n_mels: int
    speakers: tuple[str, ...]  # in label order
    ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]  # -1 in the test rows
    offsets: npt.NDArray[np.int64]  # first frame of each row
    lengths: npt.NDArray[np.int64]  # frames of each row
    channels: ChannelStatistics  # of each row
    frames: LazyFrames = LAZY  # AnyFrames (all frames, n_mels), memory-mapped

    @property
    def train(self) -> npt.NDArray[np.int64]:
        """The rows of the training utterances."""
        return np.flatnonzero(self.labels >= 0)

    @property
    def test(self) -> npt.NDArray[np.int64]:
        """The rows of the test utterances."""
        return np.flatnonzero(self.labels < 0)

    def features(self, row: int) -> "torch.Tensor":
        """The features (T, n_mels) of one row: natural-log mel energies, float32."""
        start = int(self.offsets[row])
        return self.frames[start : start + int(self.lengths[row])].float()


def pack(
    dataset: Path,
    folder: Path,
    *,
    dtype: str = "float16",
    replace: bool = False,
    bar: Bar = no_bar,
) -> Corpus:
    """Validate the official folder `dataset` and write it to `folder`, atomically.

    A corpus of the same dataset is kept, or packed again where its format is old or it is damaged;
    one of another dataset is replaced only if `replace`. float16 halves the size; its rounding, at
    most 0.008 nat, is far below a frame's own noise. `bar(name)` makes the progress of a stage.

    Raises DataError with every problem of the dataset, also those inside the feature files.
    """
    from kaggle_hw4.data.official import find_folder

    source = find_folder(dataset)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_of(folder)
    with locked(lock):
        try:
            restore(folder)
            packed = None if replace else _already_packed(source, folder, dtype, bar)
            return packed or _pack(source, folder, dtype, bar)
        finally:
            lock.unlink(missing_ok=True)


def _already_packed(source: Path, folder: Path, dtype: str, bar: Bar) -> Corpus | None:
    """The corpus in `folder` if it is that of `source`; None if there is none, or none of use."""
    from kaggle_hw4.data.official import FILES

    if not folder.exists():
        return None
    sources = {name: sha256_file(source / name) for name in FILES if (source / name).is_file()}
    manifest = None if is_old(folder) else read_manifest(folder)
    if manifest is None and old_sources(folder) == sources:
        return None
    if manifest is None or manifest.sources != sources or manifest.dtype != dtype:
        raise DataError(
            f"{folder} holds another corpus (or another dtype) than {source}",
            "pack into another workspace, or with `replace`",
        )
    try:
        return open_corpus(folder, bar)
    except DataError:  # damaged: it is made from its dataset again
        return None


def _pack(source: Path, folder: Path, dtype: str, bar: Bar) -> Corpus:
    from kaggle_hw4.data.official import read_official

    official, new = read_official(source), folder.with_name(folder.name + ".new")
    for stale in (new, *folder.parent.glob(f".{new.name}.*")):  # of a pack that was killed
        shutil.rmtree(stale, ignore_errors=True)
    with new_directory(new) as path:
        hashes, channels, levels = _write_frames(path, official, dtype, bar("pack"))
        table = _table(official).to_csv(index=False, lineterminator="\n")
        sha256 = {
            **hashes,
            TABLE: write_text(path / TABLE, table),
            CHANNELS: write_channels(path, channels),
        }
        edition = official.edition()
        manifest = CorpusManifest.model_validate(
            {
                "format": FORMAT,
                "hash": corpus_hash(sha256, official.speakers),
                "dtype": dtype,
                "n_mels": official.n_mels,
                "edition": edition.year if edition else None,
                "speakers": official.speakers,
                "sha256": sha256,
                "statistics": levels,
                "sources": official.sources(),
                "made_by": provenance(),
            }
        )
        write_manifest(path, manifest)
    swap_in(new, folder)
    return open_corpus(folder, bar)


def _write_frames(
    folder: Path, official: "OfficialDataset", dtype: str, progress: Progress
) -> tuple[dict[str, str], ChannelStatistics, Levels]:
    """Write the frames of every utterance; return the files' sha256, the channel statistics and the
    levels. Raises DataError after the last utterance if any of them has a problem.
    """
    import torch

    from kaggle_hw4.data.official import read_features

    stored_dtype: torch.dtype = getattr(torch, dtype)
    moments, channels, utterances = Moments(), [], official.utterances

    def stored() -> Iterator[bytes]:
        for done, utterance in enumerate(utterances):
            progress(done, len(utterances))
            features = read_features(official, utterance)
            # After the first problem nothing will be kept, but the rest is still checked.
            if features is not None and not official.problems:
                moments.add(features)
                frames = np.ascontiguousarray(features.to(stored_dtype).numpy())
                channels.append(describe_channel(frames.astype(np.float32)))
                yield frames.tobytes()

    size = official.n_mels * DTYPES[dtype]
    hashes = write_frames(folder, [size * u.frames for u in utterances], stored())
    progress(len(utterances), len(utterances))
    official.raise_problems()
    return hashes, concatenate(channels), moments.levels()


def _table(official: "OfficialDataset") -> "pd.DataFrame":
    import pandas as pd

    label = {speaker: i for i, speaker in enumerate(official.speakers)}
    utterances = official.utterances
    return pd.DataFrame(
        {
            "id": [u.id for u in utterances],
            "label": [-1 if u.speaker is None else label[u.speaker] for u in utterances],
            "frames": [u.frames for u in utterances],
        }
    )


def open_corpus(folder: Path, bar: Bar = no_bar) -> Corpus:
    """The corpus in `folder`, checked against its hashes; DataError if anything is missing, damaged
    or of another format. `bar(name)` makes the progress of the check, in megabytes.
    """
    import pandas as pd

    recover(folder)
    if not folder.is_dir():
        raise DataError(f"no corpus in {folder}", "run `hw4 data pack DATASET` first")
    manifest = read_manifest(folder)
    progress = bar("opening (MB)")
    verify(folder / TABLE, manifest.sha256[TABLE], REMEDY)
    table = pd.read_csv(folder / TABLE, dtype={"id": str}, keep_default_na=False)
    lengths, n_mels = table["frames"].to_numpy(np.int64), manifest.n_mels
    frames = open_frames(folder, manifest, int(lengths.sum()), progress)
    return Corpus(
        folder=folder,
        hash=manifest.hash,
        edition=edition_named(manifest.edition),
        n_mels=n_mels,
        speakers=tuple(manifest.speakers),
        ids=tuple(table["id"]),
        labels=table["label"].to_numpy(np.int64),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        frames=frames,
        channels=read_channels(folder, manifest.sha256[CHANNELS], len(table), n_mels, REMEDY),
    )
