"""Kafka record batches (message format 2) made from columns, without touching a row in Python.

`aiokafka` 0.14 asks few things of what is given to `AIOKafkaProducer.send_batch`; `RecordBatch` has them all. Some names are private
in aiokafka, so everything that leans on them is in this file, and `row_batch.py` does the same row by row through aiokafka's own builder.
Source: Kafka protocol, "Record Batch" and "Record" (KIP-98, KIP-82); zigzag varints as in Protocol Buffers.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from itertools import chain
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from aiokafka.record.util import calc_crc32c

_HEADER = struct.Struct(
    ">qiibIhiqqqhii"
)  # offset, length, leader epoch, magic, crc, attributes, last offset delta, times, producer, sequence, count
_AFTER_LENGTH = struct.calcsize(">qi")
_CRC = struct.calcsize(">qiib")
_ATTRIBUTES = struct.calcsize(">qiibI")
_ZSTD = 4
_TRANSACTIONAL = 0x10
_ZSTD_LEVEL = 1  # measured: as fast as the negative levels, and smaller than level 3 on rows of one table
_MOST_RECORDS = 65_536  # so that an offset delta takes three bytes at most
_MOST_ADDED = 2 + 3 + 4  # attributes and time delta, an offset delta, and a record's length (below 2**27)
_FEW = 96  # up to here the columns cost more than the rows: a small batch is one row, and there are many of them

Headers = tuple[tuple[str, bytes], ...]
BATCH_BYTES = 4 << 20
"""Size to which a batch is filled at most, before compression."""
MAX_MESSAGE_BYTES = 32 << 20
"""`max.message.bytes` of a view's topic: room for one row with the longest text an item may hold."""
MAX_RECORD_BYTES = 31 << 20
"""Longest key and value of a record, so that its batch stays below MAX_MESSAGE_BYTES, compressed or not."""


@dataclass(frozen=True)
class Piece:
    """Records of one batch of rows for one partition, as columns of n_rows.

    keys, values: text or binary, None for a column of nulls, nulls allowed within. rows: row numbers. headers: runs of (how many
    records, their headers in order), together as many as there are; the header `row` follows with the row's number as decimal text.
    """

    keys: pl.Series | None
    values: pl.Series | None
    rows: pl.Series
    headers: tuple[tuple[int, Headers], ...]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def frames(self) -> Any:
        """Return per record its key and value as the format frames them: length (-1 for null) and bytes, twice; digests cover this."""
        if len(self) <= _FEW:
            return pa.array(map(frame, _bytes(self.keys, len(self)), _bytes(self.values, len(self))), pa.large_binary())
        return _join(*_framed(self.keys, len(self)), *_framed(self.values, len(self)))

    def frame_bytes(self, start: int = 0, count: int | None = None) -> memoryview:
        """Return the frames of some records, or of all, one after the other."""
        return _data(self.frames.slice(start, count))

    def longest(self, start: int = 0, count: int | None = None) -> int:
        """Return the bytes of the longest frame of some records, or of all."""
        return int(pc.max(pc.binary_length(self.frames.slice(start, count))).as_py() or 0)

    def tail(self) -> tuple[Any, ...]:
        """Return what follows the frames, as columns to join: the headers, then the row's number."""
        fixed = [(count, _fixed(headers)) for count, headers in self.headers]
        if len(self) <= _FEW:
            before = chain.from_iterable([head] * count for count, head in fixed)
            return (pa.array([head + _text(b"%d" % row) for head, row in zip(before, self.rows, strict=True)], pa.large_binary()),)
        heads = [_constant(head) if len(fixed) == 1 else pa.repeat(_constant(head), count) for count, head in fixed]
        return (heads[0] if len(heads) == 1 else pa.concat_arrays(heads), *_framed(self.rows.cast(pl.String), len(self)))


def _fixed(headers: Headers) -> bytes:
    texts = [_text(name.encode()) + _text(value) for name, value in headers]
    return _varint(len(texts) + 1) + b"".join(texts) + _text(b"row")


def frame(key: bytes | None, value: bytes | None) -> bytes:
    """Return the frame of one record: what a reader hashes to recompute a delivery's digest."""
    return _text(key) + _text(value)


def pack(pieces: Sequence[Piece], *, now_ms: int, transactional: bool, batch_bytes: int = BATCH_BYTES) -> "Iterator[RecordBatch]":
    """Make the record batches of one partition from pieces in order; a record too big for `batch_bytes` gets a batch of its own."""
    for records in _slices(pieces, batch_bytes):
        body: bytes | memoryview = _data(records)
        codec = 0
        packed = _codec().compress(body, asbytes=True)  # the view of pyarrow's own buffer says its capacity, not its length
        if len(packed) < len(body):
            body, codec = packed, _ZSTD
        yield RecordBatch(body, len(records), attributes=codec | (_TRANSACTIONAL if transactional else 0), now_ms=now_ms)


class RecordBatch:
    """A closed batch with the interface that `AIOKafkaProducer.send_batch` asks of its builder."""

    def __init__(self, body: bytes | memoryview, count: int, *, attributes: int, now_ms: int) -> None:
        self._body = body
        self._count = count
        self._attributes = attributes
        self._now_ms = now_ms
        self._producer = (-1, -1, -1)
        self._buffer: bytearray | None = None

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> None:  # noqa: ARG002
        """Take no more records: None tells the producer that the batch is full."""
        return

    def close(self) -> None:
        """Do nothing: the batch is closed from the start."""

    def closed(self) -> bool:
        """Say that the batch takes no more records."""
        return True

    def size(self) -> int:
        """Return the size on the wire, in bytes."""
        return _HEADER.size + len(self._body)

    def record_count(self) -> int:
        """Return the number of records."""
        return self._count

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        if self._buffer is None:
            buffer = bytearray(_HEADER.size)
            buffer += self._body
            last = self._count - 1
            length = len(buffer) - _AFTER_LENGTH
            _HEADER.pack_into(
                buffer, 0, 0, length, -1, 2, 0, self._attributes, last, self._now_ms, self._now_ms, *self._producer, self._count
            )
            struct.pack_into(">I", buffer, _CRC, calc_crc32c(memoryview(buffer)[_ATTRIBUTES:]))
            self._buffer = buffer
        return self._buffer


def _slices(pieces: Sequence[Piece], batch_bytes: int) -> Iterator[Any]:
    """Yield the finished records of each batch."""
    pieces = [piece for piece in pieces if len(piece)]
    if not pieces:
        return
    if len(pieces) == 1:
        columns = (pieces[0].frames, *pieces[0].tail())
    else:
        columns = (
            pa.concat_arrays([piece.frames for piece in pieces]),
            pa.concat_arrays([tail[0] if len(tail) == 1 else _join(*tail) for tail in (piece.tail() for piece in pieces)]),
        )
    sizes = reduce(pc.add, map(_sizes, columns))
    for start, stop in _cuts(sizes, batch_bytes):
        places = _places()[: stop - start]
        lengths = _varints(pc.add(sizes[start:stop], pc.binary_length(places)))
        rest = [column[start:stop] if isinstance(column, pa.Array) else column for column in columns]
        yield _join(lengths, places, *rest)


def _cuts(sizes: Any, batch_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield where batches begin and end, given what each record has beside its length, its place and what is always zero."""
    ends = pl.Series(pc.cumulative_sum(pc.add(sizes, _MOST_ADDED)))
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        fitting = len(ends) if ends[-1] - before <= batch_bytes else int(ends.search_sorted(before + batch_bytes, side="right"))
        stop = min(max(fitting, start + 1), start + _MOST_RECORDS)
        yield start, stop
        start = stop


def _framed(column: pl.Series | None, count: int) -> tuple[Any, ...]:
    """Return columns of length varints and bytes; a null has length -1 and no bytes."""
    if column is None:
        return (pa.repeat(_constant(_varint(-1)), count),)
    data = column.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_binary())
    lengths = pc.binary_length(data)
    if data.null_count:
        data, lengths = pc.fill_null(data, b""), pc.fill_null(lengths, -1)
    return _varints(lengths), data


def _bytes(column: pl.Series | None, count: int) -> list[bytes | None]:
    return [None] * count if column is None else column.cast(pl.Binary).to_list()


def _join(*columns: Any) -> Any:
    return pc.binary_join_element_wise(*columns, _constant(b""))


def _constant(data: bytes) -> Any:
    return pa.scalar(data, pa.large_binary())


def _sizes(column: Any) -> Any:
    return pc.binary_length(column) if isinstance(column, pa.Array) else pa.scalar(len(column.as_py()), pa.int64())


def _data(column: Any) -> memoryview:
    """Return the bytes of a binary column, one value after the other, without a copy."""
    if not len(column):
        return memoryview(b"")
    ends = memoryview(column.buffers()[1]).cast("q")
    return memoryview(column.buffers()[2])[ends[column.offset] : ends[column.offset + len(column)]]


def _unsigned(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _varint(number: int) -> bytes:
    return _unsigned(number << 1 if number >= 0 else (-number << 1) - 1)


def _text(data: bytes | None) -> bytes:
    return _varint(-1) if data is None else _varint(len(data)) + data


@cache
def _codec() -> Any:
    """Return zstd, whole buffers at once: a fifth less work than cramjam's streams."""
    return pa.Codec("zstd", compression_level=_ZSTD_LEVEL)


@cache
def _places() -> Any:
    """Return what is between a record's length and its frame: attributes and time delta, both zero, and its place in the batch."""
    return pa.array([b"\x00\x00" + _varint(place) for place in range(_MOST_RECORDS)], pa.large_binary())


@cache
def _tables() -> tuple[Any, Any, Any]:
    """Return the zigzag varints of -1 to 8,190; the varints of 0 to 16,383; the two bytes of a greater number's low 14 bits."""
    numbers = range(1 << 14)
    tables = (
        [_varint(number) for number in range(-1, len(numbers) // 2 - 1)],
        [_unsigned(number) for number in numbers],
        [bytes([number & 0x7F | 0x80, number >> 7 | 0x80]) for number in numbers],
    )
    short, whole, low = (pa.array(table, pa.large_binary()) for table in tables)
    return short, whole, low


def _varints(numbers: Any) -> Any:
    """Return the zigzag varints of lengths: numbers from -1 to 2**27 - 1, as int64."""
    short, whole, low = _tables()
    places = pc.add(numbers, 1)
    if not len(numbers) or pc.max(places).as_py() < len(short):
        return short.take(places)
    zigzag = pc.shift_left(pc.max_element_wise(numbers, 0), 1)
    long = _join(low.take(pc.bit_wise_and(zigzag, len(low) - 1)), whole.take(pc.shift_right(zigzag, 14)))
    return pc.if_else(pc.less(places, len(short)), short.take(pc.min_element_wise(places, len(short) - 1)), long)
