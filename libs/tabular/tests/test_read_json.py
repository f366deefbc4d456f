"""NDJSON and JSON arrays: exact literals, named faults, the same by columns and object by object."""

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.problem import Invalid, Unreadable
from dxmesh_tabular.chunk import ReadOptions
from dxmesh_tabular.json_columns import Objects
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.reading import read

ITEMS = [
    DataItem(code="a", name="甲", data_type=DataType.TEXT),
    DataItem(code="b", name="乙", data_type=DataType.MONEY),
    DataItem(code="c", name="丙", data_type=DataType.LOGICAL),
    DataItem(code="n", name="丁", data_type=DataType.INTEGER),
    DataItem(code="g", name="戊", data_type=DataType.GENERIC),
]


def as_media(objects: list[str], media: MediaType) -> bytes:
    text = "\n".join(objects) if media is MediaType.NDJSON else "[" + ",".join(objects) + "]"
    return text.encode()


@pytest.mark.parametrize("media", [MediaType.NDJSON, MediaType.JSON])
def test_members_are_matched_by_code_or_name_and_absent_ones_are_null(reader: Any, media: MediaType) -> None:
    got = reader(as_media(['{"a":"x","乙":1.5}', "{}", '{"c":true,"n":7}'], media), ITEMS, media)
    assert got.cells == [(1, "x", Decimal("1.50"), None, None, None), (2, *[None] * 5), (3, None, None, True, 7, None)]


@pytest.mark.parametrize("media", [MediaType.NDJSON, MediaType.JSON])
def test_numbers_keep_their_literal_text_and_exact_value(reader: Any, media: MediaType) -> None:
    objects = ['{"a":"1","b":"2"}', '{"a":1.10,"b":12345678901234567890.12}', '{"a":110101,"b":0.10}', '{"a":1e5,"n":9007199254740993}']
    got = reader(as_media(objects, media), ITEMS, media)
    assert [row[1] for row in got.cells] == ["1", "1.10", "110101", "1e5"]
    assert [row[2] for row in got.cells] == [Decimal("2.00"), Decimal("12345678901234567890.12"), Decimal("0.10"), None]
    assert got.cells[3][4] == 9007199254740993


def test_each_broken_line_is_named(reader: Any) -> None:
    lines = [
        '{"a":"ok","n":1}',
        '{"a":"x"',
        "",
        '"text"',
        '{"a":"1","a":"2"}',
        '{"n":NaN}',
        '{"a":true}',
        '{"a":"\\ud800"}',
        '{"a":"nul \\u0000"}',
        '{"a":{"x":1}}',
        '{"n":1.5,"b":1.239}',
        "[" * 3000,
        '{"a":"ok","n":2}',
    ]
    got = reader("\n".join(lines).encode() + b'\n{"a":"\xff"}\n', ITEMS, MediaType.NDJSON)
    assert [row[:2] for row in got.cells] == [(1, "ok"), (12, "ok")]
    assert got.faults == [
        (2, None, "readable"),
        (3, None, "readable"),
        (4, None, "readable"),
        (5, None, "readable"),
        (6, "a", "type"),
        (7, "a", "type"),
        (8, "a", "type"),
        (9, "a", "type"),
        (10, "b", "type"),
        (10, "n", "type"),
        (11, None, "readable"),
        (13, None, "readable"),
    ]


def test_a_generic_item_keeps_a_nested_value_as_json(reader: Any) -> None:
    got = reader('{"g":{"点":[1.10,null,true]}}\n'.encode(), ITEMS, MediaType.NDJSON)
    assert got.cells[0][5] == '{"点":[1.10,null,true]}'


@pytest.mark.parametrize("media", [MediaType.NDJSON, MediaType.JSON])
def test_unknown_members_are_invalid_and_named(reader: Any, media: MediaType) -> None:
    with pytest.raises(Invalid) as caught:
        reader(as_media(['{"a":"1"}', '{"a":"1","x":1,"y":2}'], media), ITEMS, media)
    assert [error["pointer"] for error in caught.value.members["errors"]] == ["/1/x", "/1/y"]


def test_an_unknown_member_far_behind_is_seen(reader: Any) -> None:
    body = b'{"a":"1"}\n' * 100_000 + b'{"a":"1","z":1}\n'
    with pytest.raises(Invalid, match="data row 100001"):
        reader(body, ITEMS, MediaType.NDJSON, block_bytes=1 << 16)


def test_an_item_named_in_two_ways_is_invalid(reader: Any) -> None:
    with pytest.raises(Invalid, match="not the items"):
        reader('{"a":"1","甲":"2"}\n'.encode(), ITEMS, MediaType.NDJSON)


def test_needed_members_must_be_there(reader: Any) -> None:
    with pytest.raises(Invalid) as caught:
        reader(b'{"a":"1"}\n', ITEMS, MediaType.NDJSON, needed=["a", "n"])
    assert caught.value.members["errors"] == [{"pointer": "/items/n", "detail": "item n is missing"}]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"[]", "no data rows"),
        (b"{}", "not a JSON array"),
        (b'[{"a":"1"}', "breaks"),
        (b'[{"a":"1"} {"a":"2"}]', "breaks"),
        (b'[{"a":"1"},]', "breaks"),
        (b'[{"a":"1"}] x', "text follows"),
        (b'[{"a":"\xff"}]', "not UTF-8"),
        (b"[" * 100_000, "breaks"),
        (b'[{"a":"1"},{"a":"2"', "data row 2"),
    ],
)
def test_an_array_that_is_not_one_is_unreadable(reader: Any, body: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        reader(body, ITEMS, MediaType.JSON)


def test_an_array_sent_as_lines_is_told_what_to_send(reader: Any) -> None:
    with pytest.raises(Unreadable, match="application/json"):
        reader(b' [{"a":"1"}]', ITEMS, MediaType.NDJSON)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_json_with_a_mark_in_utf_16_or_gb_18030_is_read(reader: Any, end: str) -> None:
    text = '{"a":"东城区"}' + end + '{"甲":"西城区"}'.replace("甲", "a") + end
    for body in (b"\xef\xbb\xbf" + text.encode(), b"\xff\xfe" + text.encode("utf-16-le"), text.encode("gb18030")):
        assert [row[1] for row in reader(body, ITEMS, MediaType.NDJSON).cells] == ["东城区", "西城区"]


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "a": st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=8), st.integers(-(10**20), 10**20), st.booleans()),
        "b": st.one_of(
            st.none(),
            st.integers(-(10**18), 10**18),
            st.sampled_from(["1.25", " 3 ", "x", "", "1e3"]),
            st.floats(-1e6, 1e6).map(lambda v: round(v, 2)),
        ),
        "c": st.one_of(st.none(), st.booleans(), st.sampled_from(["是", "no", "?"]), st.integers(0, 2)),
        "n": st.one_of(st.none(), st.integers(-(2**65), 2**65), st.floats(-1e3, 1e3), st.sampled_from(["7", "7.0"])),
    },
)


def test_regular_blocks_are_read_by_columns(tmp_path: Path) -> None:
    objects = Objects(ITEMS, None)
    assert objects.by_columns(b'{"a":"x","n":1}\n', lines=True) is None  # no order is known yet
    objects.by_lines('{"a":"x","n":1,"b":1.5}', "utf-8")
    regular = ['{"a":"中\\n\\u4e2d","n":-7,"b":"2"}', '{ "n" : null, "b": 0.25 }', "{}"]
    for lines, block in ((True, "\n".join(regular) + "\n"), (False, ",\n".join(regular) + ",")):
        chunk = objects.by_columns(block.encode(), lines=lines)
        assert chunk is not None
        assert chunk.rows["n"].to_list() == [-7, None, None]
    irregulars = [
        '{"n":1,"a":"x"}',
        '{"a":1}',
        '{"a":"x","a":"y"}',
        '{"a":"x","z":1}',
        '{"a":"\\ud800"}',
        '{"n":1.0}',
        '{"a":"x"',
        '{"a":"x"}}',
    ]
    for irregular in irregulars:
        assert objects.by_columns(irregular.encode() + b"\n", lines=True) is None, irregular


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=12), st.booleans(), st.booleans(), st.sampled_from([", ", ","]))
def test_columns_and_objects_agree(records: list[dict[str, Any]], ascii_only: bool, array: bool, separator: str) -> None:
    """The first object teaches the order, so later blocks are read by columns; one block is read object by object."""
    objects = [json.dumps(record, ensure_ascii=ascii_only, separators=(separator, ":")) for record in records]
    media = MediaType.JSON if array else MediaType.NDJSON
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sent"
        path.write_bytes(as_media(objects * 3, media))
        results = []
        for block_bytes in (32, 200, 1 << 20):
            chunks = list(read(path, media, ITEMS, options=ReadOptions(block_bytes=block_bytes, encoding="utf-8")))
            rows = [row for chunk in chunks for row in chunk.rows.rows()]
            results.append((rows, [row for chunk in chunks for row in chunk.refused.select("row", "item", "rule").rows()]))
        assert results[0] == results[1] == results[2]
        for row, item, value in [(n, "a", record["a"]) for n, record in enumerate(records, 1) if isinstance(record.get("a"), bool)]:
            assert (row, item, "type") in results[0][1], value
