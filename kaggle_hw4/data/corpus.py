"""The packed corpus: every frame in one flat, hashed, memory-mapped array. Reader and writer."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import filelock
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from kaggle_hw4.artifact import (
    new_directory,
    provenance,
    read_model,
    sha256_file,
    sha256_json,
    verify,
    write_json,
    write_text,
)
from kaggle_hw4.data.official import Official, find_folder, read_features, read_official
from kaggle_hw4.errors import DataError

FORMAT = 1
FRAMES, TABLE, MANIFEST = "frames.bin", "utterances.csv", "packed.json"
DTYPES = {"float16": torch.float16, "float32": torch.float32}
REMEDY = "pack the dataset again: `hw4 data pack DATASET --replace`"


@dataclass(frozen=True)
class Corpus:
    """A corpus as arrays. Rows 0 … n_train-1 are the training utterances, in metadata order;
    the rows after them are the test utterances, in testdata order.
    """

    folder: Path
    hash: str  # of the frames and the table: the corpus itself, whatever folder it came from
    n_mels: int
    speakers: tuple[str, ...]  # in label order
    ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]  # -1 in the test rows
    offsets: npt.NDArray[np.int64]  # first frame of each row
    lengths: npt.NDArray[np.int64]  # frames of each row
    frames: torch.Tensor  # (all frames, n_mels), memory-mapped

    @property
    def train(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self.labels >= 0)

    @property
    def test(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self.labels < 0)

    def features(self, row: int) -> torch.Tensor:
        """The (frames, n_mels) features of one row, float32."""
        start = int(self.offsets[row])
        return self.frames[start : start + int(self.lengths[row])].float()


def pack(
    dataset: Path,
    folder: Path,
    *,
    dtype: str = "float16",
    replace: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Corpus:
    """Validate the official folder `dataset` and write it to `folder`, whole or not at all.

    float16 halves the size; its rounding, at most 0.008 nat, is far below a frame's own noise.
    Raises DataError with every problem found, also those inside the feature files.
    """
    source = find_folder(dataset)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with filelock.FileLock(lock):
        try:
            if folder.exists() and not replace:
                return _already_packed(source, folder, dtype)
            return _pack(source, folder, dtype, progress)
        finally:
            lock.unlink(missing_ok=True)


def _pack(source: Path, folder: Path, dtype: str, progress: Callable[[int, int], None]) -> Corpus:
    found, new = read_official(source), folder.with_name(folder.name + ".new")
    for stale in (new, *folder.parent.glob(f".{new.name}.*")):  # of a pack that was killed
        shutil.rmtree(stale, ignore_errors=True)
    with new_directory(new) as made:
        frames_hash, moments = _write_frames(made / FRAMES, found, DTYPES[dtype], progress)
        found.raise_problems()
        table_hash = write_text(
            made / TABLE, _table(found).to_csv(index=False, lineterminator="\n")
        )
        sha256 = {FRAMES: frames_hash, TABLE: table_hash}
        manifest = {
            "format": FORMAT,
            "hash": corpus_hash(sha256, found.speakers),
            "dtype": dtype,
            "n_mels": found.n_mels,
            "speakers": found.speakers,
            "sha256": sha256,
            "statistics": moments,
            "sources": found.sources(),
            "made_by": provenance(),
        }
        write_json(made / MANIFEST, manifest)
    _take_place(new, folder)
    return open_corpus(folder)


def open_corpus(folder: Path) -> Corpus:
    """The packed corpus in `folder`, checked against its hashes; DataError if it is not whole."""
    if not folder.is_dir():
        raise DataError(f"no packed corpus in {folder}", "run `hw4 data pack DATASET` first")
    manifest = read_manifest(folder)
    for name in (FRAMES, TABLE):
        verify(folder / name, manifest.sha256[name], REMEDY)
    table = pd.read_csv(folder / TABLE, dtype={"id": str}, keep_default_na=False)
    lengths = table["frames"].to_numpy(np.int64)
    return Corpus(
        folder=folder,
        hash=manifest.hash,
        n_mels=manifest.n_mels,
        speakers=tuple(manifest.speakers),
        ids=tuple(table["id"]),
        labels=table["label"].to_numpy(np.int64),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        frames=_map_frames(folder / FRAMES, manifest, int(lengths.sum())),
    )


class Manifest(BaseModel):
    """packed.json: what the files beside it hold, and what made them."""

    model_config = ConfigDict(extra="allow")

    format: Literal[1]
    hash: str
    dtype: Literal["float16", "float32"]
    n_mels: Annotated[int, Field(ge=1)]
    speakers: list[str]
    sha256: dict[str, str]
    statistics: dict[str, float]
    sources: dict[str, str]

    @model_validator(mode="after")
    def hash_is_its_own(self) -> "Manifest":
        if self.hash != corpus_hash(self.sha256, self.speakers):
            raise ValueError("its hash is not that of its speakers and files")
        return self


def corpus_hash(sha256: Mapping[str, str], speakers: Sequence[str]) -> str:
    return sha256_json([sha256.get(FRAMES), sha256.get(TABLE), list(speakers)])[:16]


def read_manifest(folder: Path) -> Manifest:
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder / MANIFEST} is missing", REMEDY)
    return read_model(Manifest, folder / MANIFEST, "the manifest of a packed corpus", REMEDY)


def _map_frames(path: Path, manifest: Manifest, count: int) -> torch.Tensor:
    size, dtype = count * manifest.n_mels, DTYPES[manifest.dtype]
    if path.stat().st_size != size * dtype.itemsize:
        raise DataError(f"{path} is not as long as {MANIFEST} says", REMEDY)
    # shared=False: nobody can write through this map into the file.
    flat = torch.from_file(str(path), shared=False, size=size, dtype=dtype)
    return flat.view(count, manifest.n_mels)


def _already_packed(source: Path, folder: Path, dtype: str) -> Corpus:
    manifest = read_manifest(folder)
    sources = {
        name: sha256_file(source / name) for name in manifest.sources if (source / name).is_file()
    }
    if manifest.sources != sources or manifest.dtype != dtype:
        raise DataError(
            f"{folder} holds another corpus (or another --dtype) than {source}",
            "give it a workspace of its own with --workspace, or --replace this one",
        )
    return open_corpus(folder)


def _table(found: Official) -> pd.DataFrame:
    label = {speaker: i for i, speaker in enumerate(found.speakers)}
    return pd.DataFrame(
        {
            "id": [u.id for u in found.utterances],
            "label": [-1 if u.speaker is None else label[u.speaker] for u in found.utterances],
            "frames": [u.frames for u in found.utterances],
        }
    )


def _write_frames(
    path: Path, found: Official, dtype: torch.dtype, progress: Callable[[int, int], None]
) -> tuple[str, dict[str, Any]]:
    """Write every utterance that can be read; return the file's sha256 and the level statistics."""
    digest, levels = hashlib.sha256(), Levels()
    utterances = found.utterances
    with path.open("wb") as file:
        for done, utterance in enumerate(utterances, 1):
            features = read_features(found, utterance)
            # After the first problem nothing will be kept, but the rest is still checked.
            if features is not None and not found.problems:
                levels.add(features)
                data = features.to(dtype).numpy().tobytes()
                digest.update(data)
                file.write(data)
            progress(done, len(utterances))
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), levels.summary()


class Levels:
    """Running extremes and moments of the features, for `hw4 data inspect`."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0
        self.low, self.high = float("inf"), float("-inf")
        self.utterances, self.floored = 0, 0

    def add(self, features: torch.Tensor) -> None:
        low, high = (float(v) for v in features.aminmax())
        self.count += features.numel()
        self.total += float(features.sum(dtype=torch.float64))
        self.squares += float(features.double().square().sum())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.utterances += 1
        self.floored += low <= LOG_FLOOR + 0.5

    def summary(self) -> dict[str, float]:
        count = max(self.count, 1)
        mean = self.total / count
        return {
            "min": self.low,
            "max": self.high,
            "mean": mean,
            "deviation": max(self.squares / count - mean**2, 0.0) ** 0.5,
            "touching_the_floor": self.floored / max(self.utterances, 1),
        }


LOG_FLOOR = float(np.log(1e-9))  # log(clamp(mel, 1e-9)), the front end's


def _take_place(made: Path, folder: Path) -> None:
    """Put `made` in the place of `folder`, which stays whole until then."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    made.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
