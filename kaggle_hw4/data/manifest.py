"""corpus.json, the manifest of a corpus. Reader and writer."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kaggle_hw4.artifact import read_model, sha256_json, write_json
from kaggle_hw4.data.channel import CHANNELS
from kaggle_hw4.data.levels import Levels
from kaggle_hw4.errors import DataError

FORMAT = 2
FRAMES, TABLE, MANIFEST = "frames.bin", "utterances.csv", "corpus.json"
OLD_MANIFEST = "packed.json"  # of format 1
REMEDY = "pack the dataset again: `hw4 data pack`"


class CorpusManifest(BaseModel):
    """corpus.json: what the files beside it hold, and what made them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2]
    hash: str
    dtype: Literal["float16", "float32"]
    n_mels: Annotated[int, Field(ge=1)]
    edition: int | None  # the year; None where the test set is no edition's
    speakers: list[str]
    sha256: dict[str, str]  # of each file
    statistics: Levels
    sources: dict[str, str]  # sha256 of each JSON file of the dataset
    made_by: dict[str, str]

    @model_validator(mode="after")
    def hashes_agree(self) -> "CorpusManifest":
        if self.hash != corpus_hash(self.sha256, self.speakers):
            raise ValueError("its hash is not that of its speakers and files")
        frames = frames_files(self.sha256) or [FRAMES]
        if missing := {*frames, TABLE, CHANNELS} - set(self.sha256):
            raise ValueError(f"no sha256 of {', '.join(sorted(missing))}")
        return self


def corpus_hash(sha256: Mapping[str, str], speakers: Sequence[str]) -> str:
    """What identifies a corpus: its frames, its table and the names of its speakers."""
    frames = [sha256[name] for name in frames_files(sha256)]
    single = frames[0] if len(frames) == 1 else frames or None
    return sha256_json([single, sha256.get(TABLE), list(speakers)])[:16]


def frames_files(sha256: Mapping[str, str]) -> list[str]:
    """The files of frames among those of a corpus, in their order."""
    return sorted(name for name in sha256 if name == FRAMES or name.startswith("frames-"))


def write_manifest(folder: Path, manifest: CorpusManifest) -> None:
    """Write corpus.json into `folder`, atomically."""
    write_json(folder / MANIFEST, manifest.model_dump())


def read_manifest(folder: Path) -> CorpusManifest:
    """The manifest of the corpus in `folder`; DataError if it is missing, damaged or old."""
    if is_old(folder):
        raise DataError(f"{folder} was packed by hw4 0.1", REMEDY)
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder / MANIFEST} is missing", f"delete {folder} and {REMEDY}")
    remedy = f"delete {folder} and {REMEDY}"
    return read_model(CorpusManifest, folder / MANIFEST, "the manifest of a corpus", remedy)


def old_sources(folder: Path) -> object:
    """The sha256 of each JSON file that a corpus of format 1 was packed from."""
    path = folder / (MANIFEST if (folder / MANIFEST).is_file() else OLD_MANIFEST)
    return json.loads(path.read_bytes()).get("sources")


def is_old(folder: Path) -> bool:
    """Whether a corpus of format 1 is in `folder`."""
    path = folder / MANIFEST
    if not path.is_file():
        return (folder / OLD_MANIFEST).is_file()
    try:
        manifest = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == 1
