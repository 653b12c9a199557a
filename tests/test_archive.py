"""No archive fills the memory, however small it is."""

import gzip
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from kaggle_hw4.data.archive import unpack
from kaggle_hw4.errors import DataError


def header(kind: bytes, size: int) -> bytes:
    """The block of 512 bytes before an entry; `size` may be negative (base 256)."""
    entry = tarfile.TarInfo("a")
    entry.type, entry.size = kind, abs(size)
    block = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    if size < 0:
        block[124:136] = b"\xff" * 4 + size.to_bytes(8, "big", signed=True)
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def pax(**records: str) -> bytes:
    entry = tarfile.TarInfo("a")
    entry.pax_headers = {name.replace("_", "."): value for name, value in records.items()}
    return entry.tobuf(tarfile.PAX_FORMAT)


LARGE = 200 * 2**20


@pytest.mark.parametrize("before", [b"", header(tarfile.REGTYPE, 0)])
@pytest.mark.parametrize(
    "kind",
    [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE],
)
def test_a_header_of_many_mebibytes_is_not_read(tmp_path: Path, kind: bytes, before: bytes) -> None:
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        file.write(before + header(kind, LARGE))
        for _ in range(LARGE // 2**20):
            file.write(b"a" * 2**20)
    tracemalloc.start()
    with pytest.raises(DataError, match="refused, it has a header of more than 64 KiB; nothing"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    assert not (tmp_path / "out").exists()


def test_many_headers_count_towards_what_is_allowed(tmp_path: Path) -> None:
    entry = header(tarfile.XHDTYPE, 2**16) + b"65536 comment=" + b"a" * (2**16 - 15) + b"\n"
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        for _ in range(1100):
            file.write(entry + header(tarfile.REGTYPE, 0))
    tracemalloc.start()
    with pytest.raises(DataError, match="cannot be unpacked|unpacks to more than 64 MiB"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (header(tarfile.REGTYPE, -(2**40)), "negative size"),
        (header(tarfile.XHDTYPE, -512), "negative size"),
        (pax(size="-1000000"), "negative size"),
        (header(tarfile.GNUTYPE_SPARSE, 512), "sparse"),
        (pax(GNU_sparse_map="0,1", GNU_sparse_size="1"), "sparse"),
        (header(tarfile.GNUTYPE_LONGNAME, 60_000) + b"a" * 60_416 + header(b"0", 0), "unpacked"),
    ],
)  # fmt: skip
def test_a_size_that_lies_is_refused_in_a_line(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.tar").write_bytes(data + bytes(20_480))
    with pytest.raises(DataError, match=reason) as raised:
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert len(str(raised.value)) < 500


def test_empty_files_and_long_names_are_unpacked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("folder/empty"))
        archive.addfile(tarfile.TarInfo("/".join(["a" * 100] * 5)))
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert (tmp_path / "out" / "folder" / "empty").read_bytes() == b""
    assert (tmp_path / "out" / "/".join(["a" * 100] * 5)).is_file()


@pytest.mark.parametrize("size", [2**16 + 1, 2**17])
def test_a_header_above_64_kib_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.tar").write_bytes(header(tarfile.GNUTYPE_LONGNAME, size) + bytes(2**18))
    with pytest.raises(DataError, match="a header of more than 64 KiB"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(DataError, match="no regular file"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_too_little_memory_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise MemoryError

    monkeypatch.setattr("zipfile.is_zipfile", fail)
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(DataError, match="more memory than there is; nothing was unpacked"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
