"""TensorBoard's event files, written and read without TensorBoard.

A file is a sequence of records (TFRecord): the length of the data (8 bytes), a masked CRC-32C of it
(4), the data, a masked CRC-32C of that (4), all little-endian. The data is a message of protocol
buffers, `Event`: wall_time (field 1, double), step (2, varint), file_version (3, text) or a summary
(5) of values (1), each with a tag (1, text) and a simple_value (2, float).
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VERSION = "brain.Event:2"
POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types


@dataclass(frozen=True)
class Event:
    """Scalars of one step; the first event of a file has none."""

    wall_time: float  # seconds since 1970
    step: int
    scalars: Mapping[str, float]


def write_events(events: Iterable[Event]) -> bytes:
    """An event file: its version, then the events."""
    events = list(events)
    start = events[0].wall_time if events else 0.0
    head = _double(1, start) + _bytes(3, VERSION.encode())
    return b"".join(map(_record, [head, *map(_message, events)]))


def read_events(data: bytes) -> Iterator[Event]:
    """The events of a file; ValueError where it is damaged."""
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        body = data[12 : 12 + size]
        checks = struct.unpack("<I", data[8:12]) + struct.unpack("<I", data[12 + size : 16 + size])
        if checks != (masked_crc(data[:8]), masked_crc(body)):
            raise ValueError("a record of the event file is damaged")
        data = data[16 + size :]
        fields = list(_fields(body))
        values = [dict(_fields(v)) for n, s in fields if n == 5 for k, v in _fields(s) if k == 1]
        scalars = {value[1].decode(): struct.unpack("<f", value[2])[0] for value in values}
        known = dict(fields)
        yield Event(struct.unpack("<d", known[1])[0], known.get(2, 0), scalars)


def _record(data: bytes) -> bytes:
    size = struct.pack("<Q", len(data))
    checks = [struct.pack("<I", masked_crc(part)) for part in (size, data)]
    return size + checks[0] + data + checks[1]


def _message(event: Event) -> bytes:
    values = (
        _bytes(1, _bytes(1, tag.encode()) + _key(2, FLOAT) + struct.pack("<f", value))
        for tag, value in event.scalars.items()
    )
    step = _key(2, VARINT) + _varint(event.step)
    return _double(1, event.wall_time) + step + _bytes(5, b"".join(values))


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _double(field: int, value: float) -> bytes:
    return _key(field, DOUBLE) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have the highest bit set."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a message."""
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place)
        if key & 7 == VARINT:
            number, place = _read_varint(data, place)
            yield key >> 3, number
            continue
        size = {DOUBLE: 8, FLOAT: 4}.get(key & 7)
        if size is None:
            size, place = _read_varint(data, place)
        yield key >> 3, data[place : place + size]
        place += size


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _table() -> list[int]:
    rows = []
    for row in range(256):
        for _ in range(8):
            row = row >> 1 ^ (POLYNOMIAL if row & 1 else 0)
        rows.append(row)
    return rows


TABLE = _table()


def crc32c(data: bytes) -> int:
    check = 0xFFFFFFFF
    for byte in data:
        check = TABLE[(check ^ byte) & 255] ^ check >> 8
    return check ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and shifted, so that a checksum of checksums is no special case."""
    check = crc32c(data)
    return ((check >> 15 | check << 17) + 0xA282EAD8) & 0xFFFFFFFF
