"""Logits of utterances, as a matrix or as a product of two small ones. Reader and writer.

With many classes C, nearly all of a run's size is its logits (n, C). But a head is linear in the
embedding (or, of cosines, in its direction), and so are means over segments, networks and
neighbours: the logits are factors (n, R) of the utterances times vectors (C, R) of the classes, and
R is the width of the embedding. These are kept where C is large. Nothing is lost but rounding;
keeping the largest k of a row would lose its tail, whose share is not small with so many classes
(docs/scale.md). numpy alone: blending needs no torch.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from kaggle_hw4.errors import DataError

FORMAT = "2"  # of low-rank logits; matrices are of the first, without a number
MANY = 4096  # classes from which on logits are kept with low rank
BLOCK = 2**22  # logits of a member that are computed at a time

Floats: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[Any] | slice


@dataclass(frozen=True)
class Part:
    """Logits factors (m, R) · vectors (C, R) of m utterances; without vectors, the factors are the
    logits themselves.
    """

    factors: Floats
    vectors: Floats | None = None

    @property
    def classes(self) -> int:
        return len(self.factors.T if self.vectors is None else self.vectors)

    def at(self, rows: Rows) -> Floats:
        """The logits (m, C) of some rows."""
        factors = self.factors[rows]
        return factors if self.vectors is None else factors @ self.vectors.T


@dataclass(frozen=True)
class LowRankLogits:
    """Logits (n, C): row i is row `place[i]` of the part `part[i]`, plus `offsets[i]`."""

    parts: tuple[Part, ...]
    part: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    offsets: Floats

    dtype: ClassVar = np.dtype(np.float32)

    @classmethod
    def of(
        cls, factors: Floats, vectors: Floats | None = None, offsets: Floats | None = None
    ) -> "LowRankLogits":
        """Those of a single part."""
        n = len(factors)
        zeros = np.zeros(n, np.float32) if offsets is None else offsets
        return cls((Part(factors, vectors),), np.zeros(n, np.int64), np.arange(n), zeros)

    def __len__(self) -> int:
        return len(self.place)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.parts[0].classes

    def __getitem__(self, rows: Rows) -> "LowRankLogits":
        return LowRankLogits(self.parts, self.part[rows], self.place[rows], self.offsets[rows])

    def dense(self) -> Floats:
        """All of them (n, C)."""
        numbers = np.unique(self.part)
        if len(numbers) == 1:
            values: Floats = self.parts[numbers[0]].at(self.place)
        else:
            values = np.empty(self.shape, np.float32)
            for number in numbers:
                rows = np.flatnonzero(self.part == number)
                values[rows] = self.parts[number].at(self.place[rows])
        values += self.offsets[:, None]
        return values

    def divided_by(self, temperature: float) -> "LowRankLogits":
        scale = np.float32(temperature)
        parts = tuple(replace(part, factors=part.factors / scale) for part in self.parts)
        return replace(self, parts=parts, offsets=self.offsets / scale)


AnyLogits: TypeAlias = Floats | LowRankLogits


@dataclass(frozen=True)
class Logits:
    """Plain logits (n, C) of utterances `ids`, in their order."""

    ids: tuple[str, ...]
    values: AnyLogits


def logits_bytes(rows: float, classes: int, rank: int) -> float:
    """The bytes of the logits of so many rows, `rank` being the width of the embeddings."""
    numbers = rows * classes
    return 4 * (numbers if classes < MANY else min(numbers, (rows + classes) * rank))


def dense(logits: AnyLogits) -> Floats:
    """The whole matrix (n, C)."""
    return logits.dense() if isinstance(logits, LowRankLogits) else logits


def concatenate(logits: Sequence[AnyLogits]) -> AnyLogits:
    """The rows of all `logits`, one after the other."""
    matrices = [each for each in logits if not isinstance(each, LowRankLogits)]
    if len(matrices) == len(logits):
        return np.concatenate(matrices)
    low = [x if isinstance(x, LowRankLogits) else LowRankLogits.of(x) for x in logits]
    first = np.cumsum([0, *(len(each.parts) for each in low)])
    return LowRankLogits(
        tuple(part for each in low for part in each.parts),
        np.concatenate([each.part + k for each, k in zip(low, first, strict=False)]),
        np.concatenate([each.place for each in low]),
        np.concatenate([each.offsets for each in low]),
    )


def mean(logits: Sequence[AnyLogits]) -> AnyLogits:
    """The mean (n, C) of several logits of the same utterances."""
    low = [each for each in logits if isinstance(each, LowRankLogits)]
    parts = [part for each in low for part in each.parts]
    vectors = [part.vectors for part in parts if part.vectors is not None]
    if not low or not len(low) == len(logits) == len(parts) == len(vectors):
        return np.asarray(np.mean([dense(each) for each in logits], axis=0))
    # The product of the concatenated factors with the concatenated vectors is the sum.
    factors = [part.factors[each.place] for part, each in zip(parts, low, strict=True)]
    scale = np.float32(1 / len(low))
    offsets = np.mean([each.offsets for each in low], axis=0)
    return LowRankLogits.of(scale * np.hstack(factors), np.hstack(vectors), offsets)


def blocks(logits: AnyLogits) -> Iterator[tuple[Rows, Floats]]:
    """Rows, and their logits (rows, C): a matrix at once, those of low rank some at a time."""
    if not isinstance(logits, LowRankLogits):
        yield slice(None), logits
        return
    for rows in row_blocks(logits.part, logits.shape[1]):
        yield rows, logits[rows].dense()


def row_blocks(part: npt.NDArray[np.int64], width: int) -> list[npt.NDArray[np.int64]]:
    """The rows of parts (n,), in blocks of up to BLOCK numbers of which a row has `width`; those of
    a part together.
    """
    size = max(1, BLOCK // width)
    order = np.argsort(part, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]


def log_softmax(logits: AnyLogits, temperature: float = 1.0) -> AnyLogits:
    """The log-probabilities (n, C) of logits (n, C) / temperature."""
    from scipy import special

    if isinstance(logits, LowRankLogits):
        return log_softmax_low_rank(logits, temperature)
    return np.asarray(special.log_softmax(logits / np.float32(temperature), axis=1))


def log_softmax_low_rank(logits: LowRankLogits, temperature: float = 1.0) -> LowRankLogits:
    """The same with low rank: the logarithm of a row's sum is one number."""
    from scipy.special import logsumexp

    scaled = logits.divided_by(temperature)
    offsets = scaled.offsets.copy()
    for rows, block in blocks(scaled):
        offsets[rows] -= logsumexp(block, axis=1)
    return replace(scaled, offsets=offsets)


def encode(logits: Logits) -> bytes:
    """The file of `logits`, in the format of safetensors."""
    # The ids go along, so that logits can be read without the corpus that they came from.
    metadata = {"ids": json.dumps(list(logits.ids))}
    if isinstance(logits.values, LowRankLogits):
        metadata["format"] = FORMAT
    return safetensors.numpy.save(tensors_of(logits.values), metadata=metadata)


def tensors_of(values: AnyLogits) -> dict[str, Floats]:
    """What a file has of logits, those of low rank being of a single part."""
    if not isinstance(values, LowRankLogits):
        return {"logits": values}
    [part] = values.parts
    assert part.vectors is not None
    factors = part.factors[values.place]
    return {"factors": factors, "vectors": part.vectors, "offsets": values.offsets}


def low_rank_of(file: safetensors.safe_open) -> LowRankLogits:
    """Those of low rank in an open file."""
    names = ("factors", "vectors", "offsets")
    return LowRankLogits.of(*(file.get_tensor(name) for name in names))  # type: ignore[no-untyped-call]


def decode(path: Path, remedy: str) -> Logits:
    """What `encode` wrote to `path`; DataError where another version did."""
    with safetensors.safe_open(path, "np") as file:
        written = _metadata(file).get("format")
        if written is None:
            return Logits(_ids(file), file.get_tensor("logits"))
        if written != FORMAT:
            raise DataError(f"{path}: another version of hw4 wrote it", remedy)
        return Logits(_ids(file), low_rank_of(file))


def decode_ids(path: Path) -> tuple[str, ...]:
    """The utterances of the file at `path`, without their logits."""
    with safetensors.safe_open(path, "np") as file:
        return _ids(file)


def _ids(file: safetensors.safe_open) -> tuple[str, ...]:
    return tuple(json.loads(_metadata(file)["ids"]))


def _metadata(file: safetensors.safe_open) -> dict[str, str]:
    metadata: dict[str, str] = file.metadata() or {}  # type: ignore[no-untyped-call]
    return metadata
