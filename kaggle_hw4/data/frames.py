"""The frames of a corpus: one file, or several of some GiB. Reader and writer.

frames.bin                      all frames (N, n_mels), utterance after utterance
frames-00000.bin, 00001.bin, …  the same of a corpus of more than SHARD bytes, no utterance in two

One file is checked when the corpus is opened; of several, each when it is first used: to hash
terabytes takes an hour. torch is imported where frames are used, not before.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from kaggle_hw4.artifact import sync_file, verify
from kaggle_hw4.data.manifest import FRAMES, MANIFEST, REMEDY, CorpusManifest, frames_files
from kaggle_hw4.errors import DataError
from kaggle_hw4.progress import Progress

if TYPE_CHECKING:
    import torch

DTYPES: Final = {"float16": 2, "float32": 4}  # bytes of each number
SHARD = 2**32  # bytes of a file at most, unless a single utterance has more

IntArray: TypeAlias = npt.NDArray[np.int64]
AnyFrames: TypeAlias = Union["torch.Tensor", "ShardedFrames"]


class LazyFrames:
    """A field of frames that are mapped into memory when they are first asked for."""

    def __set__(self, corpus: object, frames: "AnyFrames | Callable[[], AnyFrames]") -> None:
        vars(corpus)["_frames"] = frames

    def __get__(self, corpus: object | None, owner: type | None = None) -> "AnyFrames":
        if corpus is None:
            raise AttributeError("frames")  # a field without a default
        frames = vars(corpus)["_frames"]
        if callable(frames):
            frames = vars(corpus)["_frames"] = frames()
        mapped: AnyFrames = frames
        return mapped


class ShardedFrames:
    """Frames (N, n_mels) in several files, indexed as if they were one tensor in memory.

    `starts` are the first frames of the files, `open_shard` maps the i-th.
    """

    def __init__(
        self,
        starts: Sequence[int],
        shape: tuple[int, int],
        dtype: "torch.dtype",
        open_shard: Callable[[int], "torch.Tensor"],
    ) -> None:
        import torch

        self.starts, self.shape, self.dtype = torch.tensor(starts), shape, dtype
        self.device, self.open_shard = torch.device("cpu"), open_shard
        self.shards: dict[int, torch.Tensor] = {}

    @property
    def nbytes(self) -> int:
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def __getitem__(self, index: "slice | torch.Tensor") -> "torch.Tensor":
        """The frames (…, n_mels) at an index (…), or in a range."""
        import torch

        if isinstance(index, slice):
            index = torch.arange(*index.indices(self.shape[0]))
        frames = torch.empty(*index.shape, self.shape[1], dtype=self.dtype)
        number = torch.bucketize(index, self.starts, right=True) - 1
        for shard in np.unique(number.numpy()).tolist():
            here = number == shard
            frames[here] = self.shard(shard)[index[here] - self.starts[shard]]
        return frames

    def shard(self, number: int) -> "torch.Tensor":
        if number not in self.shards:
            self.shards[number] = self.open_shard(number)
        return self.shards[number]

    def to(self, device: "torch.device") -> AnyFrames:
        """All frames in the memory of a device; on the CPU they stay in their files."""
        import torch

        if device.type == "cpu":
            return self
        frames = torch.empty(self.shape, dtype=self.dtype, device=device)
        ends = [*self.starts.tolist()[1:], self.shape[0]]
        for number, end in enumerate(ends):
            frames[int(self.starts[number]) : end] = self.shard(number).to(device)
        return frames


def write_frames(folder: Path, sizes: Sequence[int], utterances: Iterator[bytes]) -> dict[str, str]:
    """Write utterances of these `sizes` (bytes), or as many of them as there are, into `folder`;
    return the sha256 of each file.
    """
    numbers, digests = assign_files(sizes), {}
    with ExitStack() as stack:
        for number, data in zip(numbers, utterances, strict=False):
            name = shard_name(number) if numbers[-1] else FRAMES
            if name not in digests:
                stack.close()  # the file before
                file = stack.enter_context((folder / name).open("wb"))
                stack.callback(sync_file, file)
                digests[name] = hashlib.sha256()
            file.write(data)
            digests[name].update(data)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def assign_files(sizes: Sequence[int]) -> list[int]:
    """The number of each utterance's file, in their order, by the utterances' sizes in bytes."""
    numbers, number, used = [], 0, 0
    for size in sizes:
        if used and used + size > SHARD:
            number, used = number + 1, 0
        used += size
        numbers.append(number)
    return numbers


def shard_name(number: int) -> str:
    return f"frames-{number:05}.bin"


def open_frames(
    folder: Path, manifest: CorpusManifest, count: int, progress: Progress
) -> "Callable[[], AnyFrames]":
    """What maps the `count` frames of a corpus; DataError where the files have another size.

    A single file is checked against its hash at once. `progress(done, total)` counts megabytes.
    """
    names = frames_files(manifest.sha256)
    if names == [FRAMES]:
        verify(
            folder / FRAMES,
            manifest.sha256[FRAMES],
            REMEDY,
            lambda done, total: progress(done // 10**6, total // 10**6),
        )
    row = manifest.n_mels * DTYPES[manifest.dtype]
    bytes_ = [_size(folder / name) for name in names]
    if sum(bytes_) != count * row or any(size % row for size in bytes_):
        raise DataError(f"{folder / names[0]} is not as long as {MANIFEST} says", REMEDY)
    return lambda: _mapped(folder, manifest, names, [size // row for size in bytes_])


def _size(path: Path) -> int:
    if not path.is_file():
        raise DataError(f"{path} is missing", REMEDY)
    return path.stat().st_size


def _mapped(
    folder: Path, manifest: CorpusManifest, names: Sequence[str], counts: Sequence[int]
) -> AnyFrames:
    import torch

    dtype: torch.dtype = getattr(torch, manifest.dtype)

    def map_file(number: int) -> torch.Tensor:
        # shared=False: a write to this map never reaches the file.
        path, size = str(folder / names[number]), counts[number] * manifest.n_mels
        flat = torch.from_file(path, shared=False, size=size, dtype=dtype)
        return flat.view(counts[number], manifest.n_mels)

    def check_and_map(number: int) -> torch.Tensor:
        verify(folder / names[number], manifest.sha256[names[number]], REMEDY)
        return map_file(number)

    if len(names) == 1:
        return map_file(0)
    starts = (np.cumsum(counts) - counts).tolist()
    return ShardedFrames(starts, (sum(counts), manifest.n_mels), dtype, check_and_map)
