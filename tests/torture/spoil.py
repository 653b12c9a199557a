"""What can happen to a file: the damages of `damage`, each a function of a random generator."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random


def _rewrite(path: Path, change: Callable[[bytearray, Random], object], random: Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        change(data, random)
        path.write_bytes(bytes(data))


def truncated(path: Path, random: Random) -> None:
    size = path.stat().st_size
    ends = [random.randrange(size + 1), max(0, size - random.randrange(1, 20)), size // 2]
    os.truncate(path, random.choice(ends))


def bit_flipped(path: Path, random: Random) -> None:
    def flip(data: bytearray, random: Random) -> None:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)

    _rewrite(path, flip, random)


def byte_damaged(path: Path, random: Random) -> None:
    def spoil(data: bytearray, random: Random) -> None:
        place = random.randrange(len(data))
        data[place] = (data[place] + random.randrange(1, 256)) % 256

    _rewrite(path, spoil, random)


def zeroed(path: Path, random: Random) -> None:
    """A block of zeros, as after a power cut."""

    def zero(data: bytearray, random: Random) -> None:
        place = random.randrange(len(data))
        length = min(512, len(data) - place)
        data[place : place + length] = bytes(length)

    _rewrite(path, zero, random)


def emptied(path: Path, random: Random) -> None:
    os.truncate(path, 0)


def deleted(path: Path, random: Random) -> None:
    path.unlink()


def a_folder(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path, random: Random) -> None:
    path.unlink()
    os.mkfifo(path)


def a_loop(path: Path, random: Random) -> None:
    """A symbolic link to itself."""
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: Mapping[str, Callable[[Path, Random], None]] = {
    kind.__name__: kind
    for kind in (
        truncated, bit_flipped, byte_damaged, zeroed, emptied, deleted, a_folder, a_pipe, a_loop,
    )
}  # fmt: skip
