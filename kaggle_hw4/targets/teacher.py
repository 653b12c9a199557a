"""A teacher: an ensemble's logits of the rows that a fold trains on. Reader and writer.

teachers/<hash>/fold<k>.safetensors               <hash> covers members, corpus and fold table
teachers/<hash>/fold<k>-transductive.safetensors  those of the test set as well
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.numpy
from pydantic import ValidationError

from kaggle_hw4.artifact import sha256_file, sha256_json, write_bytes
from kaggle_hw4.errors import DataError
from kaggle_hw4.logits import AnyLogits, LowRankLogits, low_rank_of, tensors_of
from kaggle_hw4.run_manifest import FoldTable, Record

FORMAT = 1
LOW_RANK = 2  # the format of logits that are kept with low rank
REMEDY = "delete it; training with the same teachers makes it again"


class TeacherHeader(Record):
    """What made a teacher's logits."""

    format: int = FORMAT
    corpus: str  # hash
    folds: FoldTable
    fold: int
    members: tuple[str, ...]
    weights: tuple[str, ...]  # sha256 of the members' weights
    transductive: bool  # the test set's logits are in it, or a member learned from them
    made_by: dict[str, str]


@dataclass(frozen=True)
class TeacherTable:
    """The mean of the members' plain logits (n, C) of whole utterances `ids`."""

    header: TeacherHeader
    ids: tuple[str, ...]
    logits: AnyLogits
    sha256: str  # of the file


def teacher_hash(corpus: str, folds: str, members: Sequence[str]) -> str:
    """The name of the teacher with these members; `corpus` and `folds` are hashes."""
    return sha256_json([corpus, folds, *sorted(members)])[:16]


def path_of(folder: Path, teacher: str, fold: int, transductive: bool) -> Path:
    """The logits for a fold, in the workspace's folder of teachers."""
    return folder / teacher / f"fold{fold}{'-transductive' * transductive}.safetensors"


def write_teacher(path: Path, header: TeacherHeader, ids: Sequence[str], logits: AnyLogits) -> str:
    """Write it, and return its sha256."""
    if isinstance(logits, LowRankLogits):
        header = header.model_copy(update={"format": LOW_RANK})
    metadata = {"header": header.model_dump_json(), "ids": json.dumps(list(ids))}
    return write_bytes(path, safetensors.numpy.save(tensors_of(logits), metadata=metadata))


def read_teacher(path: Path) -> TeacherTable:
    """DataError where it is missing, damaged or of another version."""
    if not path.is_file():
        raise DataError(f"there is no teacher {path}", "training with its members makes it")
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata: dict[str, str] = file.metadata() or {}
            header = TeacherHeader.model_validate_json(metadata["header"])
            ids, low_rank = tuple(json.loads(metadata["ids"])), header.format == LOW_RANK
            logits = low_rank_of(file) if low_rank else file.get_tensor("logits")
    except (OSError, KeyError, ValueError, ValidationError, safetensors.SafetensorError) as error:
        raise DataError(f"{path}: not the logits of a teacher ({error})", REMEDY) from error
    if header.format not in (FORMAT, LOW_RANK) or len(ids) != len(logits):
        raise DataError(f"{path}: another version of hw4 wrote it", REMEDY)
    return TeacherTable(header, ids, logits, sha256_file(path))
