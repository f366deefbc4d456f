"""Bad input over HTTP to a running mesh: each is a problem or named rows, never a 5xx, and nothing half-written is left."""

import base64
import functools
import gzip
import hashlib
import io
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import polars as pl
import pytest
import xlsxwriter

from tests.e2e.conftest import INFLATED_MAX_BYTES
from tests.e2e.desk import ARROW, CSV, GOOD, ITEMS, JSON, NDJSON, PARQUET, XLSX, Desk, problem


def _xlsx(rows: list[list[object]]) -> bytes:
    sink = io.BytesIO()
    with xlsxwriter.Workbook(sink, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return sink.getvalue()


@functools.cache
def _bomb() -> tuple[bytes, int]:
    """Return a workbook whose sheet inflates to 290 MB, and how many bytes exactly."""
    sink = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_xlsx([["id", "name", "count"]]))) as sound,
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for part in sound.infolist():
            if part.filename != "xl/worksheets/sheet1.xml":
                archive.writestr(part, sound.read(part))
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write(b'<?xml version="1.0"?><worksheet><sheetData>')
            for _ in range(290):
                sheet.write(b" " * 1_000_000)
            sheet.write(b"</sheetData></worksheet>")
        real = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    return sink.getvalue(), real


def _lying_bomb() -> bytes:
    """Return the same with a directory that declares 1,000 bytes."""
    body, real = _bomb()
    return body.replace(struct.pack("<I", real), struct.pack("<I", 1000))


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()


def _arrow(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_ipc_stream(sink)
    return sink.getvalue()


FRAME = pl.DataFrame({"id": ["1", "2", "3"], "name": ["甲", "乙", "丙"], "count": [1, 2, 3]})


@dataclass(frozen=True)
class Refused:
    """A push that is refused whole: its status, and words its detail or errors must have."""

    body: bytes | Callable[[], bytes]
    headers: dict[str, str]
    status: int
    says: tuple[str, ...]
    query: dict[str, str] = field(default_factory=dict)


def _type(media: str, **more: str) -> dict[str, str]:
    return {"Content-Type": media, **more}


WHOLE = {
    "an empty CSV body": Refused(b"", _type(CSV), 400, ("empty",)),
    "an empty NDJSON body": Refused(b"", _type(NDJSON), 400, ("empty",)),
    "an empty JSON body": Refused(b"", _type(JSON), 400, ("empty",)),
    "an empty XLSX body": Refused(b"", _type(XLSX), 400, ("empty",)),
    "an empty Parquet body": Refused(b"", _type(PARQUET), 400, ("empty",)),
    "a CSV header and no row": Refused(b"id,name,count\n", _type(CSV), 400, ("no data rows",)),
    "a JSON array of nothing": Refused(b"[]", _type(JSON), 400, ("no data rows",)),
    "no content type": Refused(GOOD, {}, 415, ("text/csv",)),
    "a content type nobody reads": Refused(GOOD, _type("application/pdf"), 415, ("application/pdf", "text/csv")),
    "a content type that is none": Refused(GOOD, _type("text"), 415, ("text/csv",)),
    "CSV sent as XLSX": Refused(GOOD, _type(XLSX), 400, ("XLSX",)),
    "CSV sent as Parquet": Refused(GOOD, _type(PARQUET), 400, ("Parquet",)),
    "CSV sent as Arrow": Refused(GOOD, _type(ARROW), 400, ("Arrow",)),
    "CSV sent as JSON": Refused(GOOD, _type(JSON), 400, ("JSON array",)),
    "XLSX sent as CSV": Refused(lambda: _xlsx([["id", "name"], ["1", "甲"]]), _type(CSV), 400, ("no text",)),
    "gzip cut off": Refused(lambda: gzip.compress(GOOD * 500)[:-20], _type(CSV, **{"Content-Encoding": "gzip"}), 400, ("cut or damaged",)),
    "gzip damaged": Refused(
        lambda: gzip.compress(os.urandom(9000))[:4000] + b"x" * 5000, _type(CSV, **{"Content-Encoding": "gzip"}), 400, ("cut or damaged",)
    ),
    "no gzip at all": Refused(GOOD, _type(CSV, **{"Content-Encoding": "gzip"}), 400, ("cut or damaged",)),
    "no zstd at all": Refused(GOOD, _type(CSV, **{"Content-Encoding": "zstd"}), 400, ("cut or damaged",)),
    "a coding nobody reads": Refused(GOOD, _type(CSV, **{"Content-Encoding": "br"}), 415, ("gzip", "zstd")),
    "gzip bomb": Refused(
        lambda: gzip.compress(b"\0" * (INFLATED_MAX_BYTES + 1), 1),
        _type(CSV, **{"Content-Encoding": "gzip"}),
        413,
        (str(INFLATED_MAX_BYTES),),
    ),
    "JSON that is one object": Refused(b'{"id": "1"}', _type(JSON), 400, ("array",)),
    "JSON cut off": Refused(b'[{"id":"1","name":"a"},{"id":"2","na', _type(JSON), 400, ("row 2",)),
    "JSON with a comma missing": Refused(b'[{"id":"1","name":"a"} {"id":"2","name":"b"}]', _type(JSON), 400, ("row 1",)),
    "JSON nested without end": Refused(b'[{"id":' + b"[" * 100_000, _type(JSON), 400, ("row 1",)),
    "JSON in NDJSON's name": Refused(b'[{"id":"1","name":"a"}]', _type(NDJSON), 400, ("application/json",)),
    "NDJSON with an unknown member": Refused(b'{"id":"1","name":"a","colour":"red"}\n', _type(NDJSON), 422, ("colour",)),
    "XLSX cut off": Refused(lambda: _xlsx([["id", "name"], ["1", "甲"]])[:-200], _type(XLSX), 400, ("cut off",)),
    "a zip that is no workbook": Refused(lambda: _zip({"readme.txt": b"hello"}), _type(XLSX), 400, ("workbook",)),
    "XLSX with no such sheet": Refused(lambda: _xlsx([["id", "name"], ["1", "甲"]]), _type(XLSX), 422, ("Tabelle",), {"sheet": "Tabelle"}),
    "XLSX zip bomb": Refused(lambda: _bomb()[0], _type(XLSX), 413, ("inflate",)),
    "XLSX zip bomb that lies": Refused(_lying_bomb, _type(XLSX), 413, ("declares",)),
    "Parquet cut off": Refused(lambda: _parquet(FRAME)[:-9], _type(PARQUET), 400, ("Parquet",)),
    "Parquet damaged inside": Refused(lambda: b"PAR1" + b"\xff" * 300 + _parquet(FRAME)[-8:], _type(PARQUET), 400, ("Parquet",)),
    "Parquet with a column of lists": Refused(
        lambda: _parquet(FRAME.with_columns(name=pl.lit([1, 2], dtype=pl.List(pl.Int64)))), _type(PARQUET), 422, ("name",)
    ),
    "Arrow cut off": Refused(lambda: _arrow(FRAME)[:-150], _type(ARROW), 400, ("Arrow",)),
    "an unknown column": Refused(b"id,name,colour\n1,a,red\n", _type(CSV), 422, ("colour", "/columns/2")),
    "a missing column": Refused(b"id,count\n1,2\n", _type(CSV), 422, ("/items/name", "missing")),
    "a doubled column": Refused(b"id,name,name\n1,a,b\n", _type(CSV), 422, ("twice", "/columns/2")),
    "a column by code and again by name": Refused("id,name,编号\n1,a,b\n".encode(), _type(CSV), 422, ("twice",)),
    "a column without a name": Refused(b"id,name,\n1,a,b\n", _type(CSV), 422, ("without a name",)),
    "an encoding nobody reads": Refused(GOOD, _type(CSV), 415, ("ebcdic", "gb18030"), {"encoding": "ebcdic"}),
    "a header in another encoding": Refused("编号,名称\n1,甲\n".encode("gb18030"), _type(CSV), 422, ("column",), {"encoding": "cp1252"}),
    "a delimiter of two characters": Refused(GOOD, _type(CSV), 422, ("delimiter",), {"delimiter": "||"}),
    "a kind that is none": Refused(GOOD, _type(CSV), 422, ("kind",), {"kind": "merge"}),
    "a kind that needs a key": Refused(GOOD, _type(CSV), 422, ("key",), {"kind": "upsert"}),
    "a digest that is another's": Refused(
        GOOD, _type(CSV, **{"Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(b'').digest()).decode()}:"}), 422, ("sha256",)
    ),
    "a digest that is none": Refused(GOOD, _type(CSV, **{"Content-Digest": "sha-256=abc"}), 400, ("Content-Digest",)),
}


def _zip(parts: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return sink.getvalue()


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE.keys())
def test_a_refused_file_is_a_problem_and_its_batch_id_is_free(desk: Desk, case: Refused) -> None:
    batch_id = uuid4()
    body = case.body() if callable(case.body) else case.body
    answer = desk.put(batch_id, body, case.headers, **case.query)
    found = problem(answer)
    assert found["status"] == case.status, found
    for word in case.says:
        assert word in answer.text, found
    assert not desk.knows(batch_id)
    desk.good_under(batch_id)


@dataclass(frozen=True)
class Rows:
    """A push that is taken in: how many rows are received, and which are quarantined by which rule and item."""

    body: bytes | Callable[[], bytes]
    media: str
    received: int
    bad: list[tuple[int, str | None, str]]  # row, item, rule
    query: dict[str, str] = field(default_factory=dict)


BY_ROW = {
    "CSV with broken lines": Rows(
        b'id,name,count\n1,a,1\n2,b\n3,"c,3\n4,d,4\n5,e,5,5\n6,f,6\n',
        CSV,
        6,
        [(2, None, "readable"), (3, None, "readable"), (5, None, "readable")],
    ),
    "CSV with a NUL": Rows(b"id,name,count\n1,a,1\n2,\x00,2\n", CSV, 2, [(2, None, "readable")]),
    "CSV with bytes that are no UTF-8": Rows(
        "id,name\n1,甲\n2,乙\n3,丙\n4,丁\n".encode() + b"5,caf\xe9\n6,x\n", CSV, 6, [(5, None, "readable")]
    ),
    "CSV in cp1252 declared as UTF-8": Rows(b"id,name\n1,caf\xe9\n2,tea\n", CSV, 2, [(1, None, "readable")], {"encoding": "utf-8"}),
    "CSV in cp1252 declared so": Rows(b"id,name\n1,caf\xe9\n2,tea\n", CSV, 2, [], {"encoding": "cp1252"}),
    "CSV in GB 18030, not declared": Rows("id,name\n1,甲\n2,乙\n".encode("gb18030"), CSV, 2, []),
    "CSV in UTF-16 with a mark": Rows("id,name\n1,甲\n".encode("utf-16"), CSV, 1, []),
    "CSV cells of another type": Rows(
        b"id,name,count\n1,a,many\n2,b,1.5\n3,c,99999999999999999999\n4,d,4\n",
        CSV,
        4,
        [(1, "count", "type"), (2, "count", "type"), (3, "count", "type")],
    ),
    "CSV with a value missing, too long, too small": Rows(
        b"id,name,count\n1,,1\n2," + b"x" * 51 + b",2\n3,c,-1\n4,d,4\n",
        CSV,
        4,
        [(1, "name", "required"), (2, "name", "length"), (3, "count", "range")],
    ),
    "NDJSON with broken lines": Rows(
        b'{"id":"1","name":"a"}\n{"id":"2","name":\n[1]\n{"id":"4","name":"d"}\n"x"\n',
        NDJSON,
        5,
        [(2, None, "readable"), (3, None, "readable"), (5, None, "readable")],
    ),
    "XLSX cells of another type": Rows(
        lambda: _xlsx([["id", "name", "count"], ["1", "a", "many"], ["2", "b", 2]]), XLSX, 2, [(1, "count", "type")]
    ),
    "Parquet with nulls where values are required": Rows(
        lambda: _parquet(FRAME.with_columns(name=pl.Series([None, "b", None], dtype=pl.String))),
        PARQUET,
        3,
        [(1, "name", "required"), (3, "name", "required")],
    ),
}


@pytest.mark.parametrize("case", BY_ROW.values(), ids=BY_ROW.keys())
def test_bad_rows_are_quarantined_by_number_and_the_others_accepted(desk: Desk, case: Rows) -> None:
    batch_id = uuid4()
    body = case.body() if callable(case.body) else case.body
    answer = desk.put(batch_id, body, {"Content-Type": case.media}, **case.query)
    assert answer.status_code == 201, answer.text
    decided = desk.provider.client.wait(batch_id)
    lines = list(desk.provider.client.quarantine(batch_id))
    assert [(line["row"], line["item"], line["rule"]) for line in lines] == case.bad
    assert all(line["reason"] and line["record"] for line in lines), lines
    bad = len({row for row, _, _ in case.bad})
    counts = (decided.received_count, decided.accepted_count, decided.quarantined_count, decided.rejected_count)
    assert counts == (case.received, case.received - bad, bad, 0)


def test_a_batch_beyond_its_threshold_is_rejected_whole_with_its_reason(desk: Desk) -> None:
    strict = desk.node.resource(desk.provider, "严格台账", ITEMS, max_quarantined_ratio=0.1)
    batch_id = uuid4()
    headers = {"Content-Type": CSV}
    desk.provider.client.call("PUT", desk.url(batch_id, strict), content=b"id,name,count\n1,a,1\n2,,2\n3,c,3\n", headers=headers)
    decided = desk.provider.client.wait(batch_id)
    assert (decided.state, decided.rejected_count, decided.accepted_count) == ("rejected", 3, 0)
    assert decided.reason
    assert [(line["row"], line["item"]) for line in desk.provider.client.quarantine(batch_id)] == [(2, "name")]
