"""The column-wise encoder makes the same records as aiokafka's row-wise builder."""

import hashlib
from uuid import UUID

import polars as pl
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_svc.delivery import record_batch, row_batch
from exchange_svc.delivery.record_batch import Piece

NOW_MS = 1_764_000_000_000
HEADERS = (("batch", str(UUID(int=7)).encode()), ("schema", b"https://node.example/v1/resources/7/versions/1/schema.json"))

cell = st.one_of(
    st.none(), st.binary(max_size=40), st.text(max_size=40).map(str.encode), st.integers(0, 20_000).map(lambda n: b"\xe4\xb8\xad" * n)
)
records = st.lists(st.tuples(cell, cell, st.integers(1, 2**32 - 1)), max_size=40)
header = st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=300))


def piece(rows: list[tuple[bytes | None, bytes | None, int]], headers=HEADERS) -> Piece:
    keys, values, numbers = ([row[at] for row in rows] for at in range(3))
    return Piece(
        pl.Series(keys, dtype=pl.Binary),
        pl.Series(values, dtype=pl.Binary),
        pl.Series(numbers, dtype=pl.UInt32),
        ((len(rows), tuple(headers)),) if rows else (),
    )


def built(builders) -> list[bytes]:
    out = []
    for sequence, builder in enumerate(builders):
        builder._set_producer_state(4711, 3, sequence)
        out.append(bytes(builder._build()))
        assert builder.size() == len(out[-1])
    return out


def read(buffers: list[bytes]) -> list[tuple]:
    out = []
    for buffer in buffers:
        batches = MemoryRecords(buffer)
        batch = batches.next_batch()
        assert batch.validate_crc()
        assert batch.is_transactional
        assert (batch.producer_id, batch.producer_epoch) == (4711, 3)
        found = [(record.key, record.value, record.headers, record.timestamp, record.offset) for record in batch]
        assert [record[-1] for record in found] == list(range(len(found)))
        out += [record[:-1] for record in found]
        assert not batches.has_next()
    return out


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(records, st.lists(header, max_size=3)), max_size=3), st.sampled_from([1, 500, 70_000, 2 << 20]))
def test_columns_give_the_records_that_the_row_wise_builder_gives(parts, batch_bytes):
    pieces = [piece(rows, headers) for rows, headers in parts]
    columnar = read(built(record_batch.pack(pieces, now_ms=NOW_MS, transactional=True, batch_bytes=batch_bytes)))
    rowwise = read(built(row_batch.pack(pieces, now_ms=NOW_MS, transactional=True, batch_bytes=batch_bytes)))
    assert columnar == rowwise
    assert [(key, value) for key, value, *_ in columnar] == [(key, value) for rows, _ in parts for key, value, _ in rows]


@settings(deadline=None, max_examples=50)
@given(records)
def test_a_reader_recomputes_the_bytes_that_a_digest_covers(rows):
    assert bytes(piece(rows).frame_bytes()) == b"".join(record_batch.frame(key, value) for key, value, _ in rows)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=200), st.integers(4000, 50_000))
def test_no_batch_of_several_records_is_larger_than_asked(sizes, batch_bytes):
    rows = [(b"k", bytes(i * 7919 % 251 for i in range(size)), 1) for size in sizes]
    batches = list(record_batch.pack([piece(rows)], now_ms=NOW_MS, transactional=True, batch_bytes=batch_bytes))
    assert sum(batch.record_count() for batch in batches) == len(rows)
    assert all(batch.size() <= batch_bytes + 61 for batch in batches)


def test_lengths_at_the_steps_of_the_varint_are_framed_right():
    rows = [(b"k", b"v" * size, size + 1) for size in (0, 1, 63, 64, 8191, 8192, 1_048_575, 1_048_576, 3_000_000)]
    assert read(built(record_batch.pack([piece(rows)], now_ms=NOW_MS, transactional=True))) == read(
        built(row_batch.pack([piece(rows)], now_ms=NOW_MS, transactional=True))
    )


def test_what_repeats_is_compressed_and_noise_is_sent_as_it_is():
    [repeated] = record_batch.pack(
        [piece([(b"k", b"the same text again and again", n) for n in range(1, 1001)])], now_ms=NOW_MS, transactional=True
    )
    assert repeated.size() < 10_000
    noise = hashlib.shake_128(b"noise").digest(50_000)
    [one] = record_batch.pack([piece([(b"k", noise, 1)])], now_ms=NOW_MS, transactional=True)
    assert 50_000 < one.size() < 50_400
    assert read(built([one]))[0][:2] == (b"k", noise)


def test_columns_of_nulls_need_no_column():
    rows = pl.Series([1, 2], dtype=pl.UInt32)
    keyless = read(
        built(record_batch.pack([Piece(None, pl.Series(["a", "b"]), rows, ((len(rows), ()),))], now_ms=NOW_MS, transactional=True))
    )
    assert [record[:2] for record in keyless] == [(None, b"a"), (None, b"b")]
    deleted = read(
        built(record_batch.pack([Piece(pl.Series(["中", "b"]), None, rows, ((len(rows), ()),))], now_ms=NOW_MS, transactional=True))
    )
    assert [record[:2] for record in deleted] == [("中".encode(), None), (b"b", None)]


def test_a_batch_holds_at_most_65536_records():
    rows = pl.int_range(1, 100_001, dtype=pl.UInt32, eager=True)
    batches = list(record_batch.pack([Piece(None, rows.cast(pl.String), rows, ((len(rows), ()),))], now_ms=NOW_MS, transactional=True))
    assert [batch.record_count() for batch in batches] == [65_536, 34_464]
    assert [record[1] for record in read(built(batches))] == [str(n).encode() for n in range(1, 100_001)]


def test_no_records_make_no_batch():
    assert list(record_batch.pack([piece([])], now_ms=NOW_MS, transactional=True)) == []
    assert list(row_batch.pack([piece([])], now_ms=NOW_MS, transactional=True)) == []
