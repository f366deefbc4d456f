"""A row as JSON text: few rows and many, with what has to be escaped and without, are written alike."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_tabular.items import schema
from dxmesh_tabular.json_rows import json_texts, row_json

ITEMS = [
    DataItem(code="id", name="编号", data_type=DataType.TEXT),
    DataItem(code="amount", name="金额", data_type=DataType.MONEY),
    DataItem(code="count", name="数", data_type=DataType.INTEGER),
    DataItem(code="ratio", name="比", data_type=DataType.DOUBLE),
    DataItem(code="born", name="日", data_type=DataType.DATE),
    DataItem(code="at", name="时", data_type=DataType.DATETIME),
    DataItem(code="ok", name="否", data_type=DataType.LOGICAL),
]
AT = datetime(2020, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)
FRAME = pl.DataFrame(
    [
        (1, '007,"x"', Decimal("12345678901234567890.10"), 2**62, 0.1, date(2020, 2, 29), AT, True),
        (2, "=1+1\n中㘵", Decimal("-0.05"), -1, 1e300, date(1899, 1, 1), AT.replace(microsecond=0), False),
        (3, None, None, None, None, None, None, None),
    ],
    schema=schema(ITEMS),
    orient="row",
)
MANY = 700  # rows that are looked at by column


def test_a_row_as_json_has_exact_numbers_iso_times_and_nulls() -> None:
    assert row_json(FRAME, ITEMS).to_list() == [
        '{"id":"007,\\"x\\"","amount":12345678901234567890.10,"count":4611686018427387904,"ratio":0.1,"born":"2020-02-29",'
        '"at":"2020-01-02T03:04:05.600Z","ok":true}',
        '{"id":"=1+1\\n中㘵","amount":-0.05,"count":-1,"ratio":1e+300,"born":"1899-01-01","at":"2020-01-02T03:04:05Z","ok":false}',
        '{"id":null,"amount":null,"count":null,"ratio":null,"born":null,"at":null,"ok":null}',
    ]


def test_a_row_as_json_has_the_items_asked_for_and_no_system_columns() -> None:
    assert row_json(FRAME.head(1), [ITEMS[4], ITEMS[0]]).to_list() == ['{"born":"2020-02-29","id":"007,\\"x\\""}']
    assert [json.loads(row, parse_float=Decimal).keys() for row in row_json(FRAME)] == [{item.code: 0 for item in ITEMS}.keys()] * 3
    assert row_json(FRAME.clear(), ITEMS).to_list() == []
    assert row_json(FRAME.head(1), [ITEMS[1]]).to_list() == ['{"amount":12345678901234567890.10}']


@pytest.mark.parametrize("hidden", [*map(chr, range(0x20)), '"', "\\", "\x7f", "\u2028", "😀", "{", ","])
def test_whatever_a_text_has_in_it_many_rows_are_written_as_each_by_itself(hidden: str) -> None:
    frame = pl.DataFrame({"plain": [f"文{n}" for n in range(MANY)], "text": [hidden * (n == MANY - 1) for n in range(MANY)]})
    texts = json_texts(frame)
    assert texts.to_list() == [json_texts(row)[0] for row in frame.iter_slices(1)]
    assert [json.loads(text) for text in texts] == frame.to_dicts()


def test_nulls_and_every_type_are_written_alike_among_many_rows_and_among_few() -> None:
    start = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    rows = [
        (n, f"行{n}", Decimal(n) / 100, -n, n / 3, date(1900, 1, 1) + timedelta(n), start + timedelta(hours=n), n % 2 == 0)
        for n in range(MANY)
    ]
    whole = pl.DataFrame(rows, schema=schema(ITEMS), orient="row").drop("row_")
    sparse = whole.with_columns(pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.all()))
    for frame in (whole, sparse, whole.slice(100, 550), whole.reverse(), whole.select(pl.all().reverse())):
        assert json_texts(frame).to_list() == [text for part in frame.iter_slices(50) for text in json_texts(part)]


def test_names_are_escaped_and_a_row_of_nothing_is_an_empty_object() -> None:
    frame = pl.DataFrame({'a"\\': ["x"] * MANY, "金额": [1] * MANY})
    assert set(json_texts(frame)) == {'{"a\\"\\\\":"x","金额":1}'}
    assert row_json(frame.select()).to_list() == []
