"""CSV: every usual shape is read exactly, every broken line is named."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.problem import Invalid, Unreadable, UnsupportedMedia
from dxmesh_tabular.chunk import ReadOptions
from dxmesh_tabular.csv_records import take_records
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.read_csv import _quotes_are_regular, _quotes_pair
from dxmesh_tabular.reading import read

A, B, C = (DataItem(code=code, name=code, data_type=DataType.TEXT) for code in "abc")
ABC = [A, B, C]
NAMED = [
    DataItem(code="code", name="代码", data_type=DataType.TEXT, required=True),
    DataItem(code="name", name="名称", data_type=DataType.TEXT, required=True),
    DataItem(code="people", name="人口", data_type=DataType.INTEGER),
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_from_the_header(reader: Any, delimiter: str) -> None:
    body = "代码,名称,人口\n110101,东城区,5\n".replace(",", delimiter)
    assert reader(body.encode(), NAMED).cells == [(1, "110101", "东城区", 5)]


def test_a_declared_delimiter_wins(reader: Any) -> None:
    assert reader(b"a^b^c\n1,x^2^3\n", ABC, delimiter="^").cells == [(1, "1,x", "2", "3")]
    with pytest.raises(Unreadable, match="delimiter"):
        reader(b"a,b,c\n1,2,3\n", ABC, delimiter='"')


def test_identifiers_keep_their_zeros_and_digits(reader: Any) -> None:
    got = reader(b"a,b,c\n007,110101.0,123456789012345678901234567890\n 1 ,+5,1e5\n", ABC)
    assert got.cells == [(1, "007", "110101.0", "123456789012345678901234567890"), (2, " 1 ", "+5", "1e5")]


def test_an_empty_cell_is_null_quoted_or_not(reader: Any) -> None:
    assert reader(b'a,b,c\n,"",x\n', ABC).cells == [(1, None, None, "x")]


def test_columns_come_in_any_order_and_optional_ones_may_be_absent(reader: Any) -> None:
    assert reader("name,code\n东城区,110101\n".encode(), NAMED).cells == [(1, "110101", "东城区", None)]


def test_unknown_missing_and_doubled_columns_are_all_named(reader: Any) -> None:
    with pytest.raises(Invalid) as caught:
        reader("代码,人,code\n1,2,3\n".encode(), NAMED)
    details = [error["detail"] for error in caught.value.members["errors"]]
    assert len(details) == 3
    assert "'人' is no item" in details[0]
    assert "'code' is there twice" in details[1]
    assert "name (名称) is missing" in details[2]
    assert [error["pointer"] for error in caught.value.members["errors"]] == ["/columns/1", "/columns/2", "/items/name"]


def test_only_the_needed_columns_are_demanded(reader: Any) -> None:
    assert reader(b"code\n1\n", NAMED, needed=["code"]).cells == [(1, "1", None, None)]
    with pytest.raises(Invalid, match="not those of the resource"):
        reader(b"name\n1\n", NAMED, needed=["code"])


def test_a_column_without_a_name_is_refused(reader: Any) -> None:
    with pytest.raises(Invalid) as caught:
        reader(b"a,b,c,\n1,2,3,\n", ABC)
    assert caught.value.members["errors"] == [{"pointer": "/columns/3", "detail": "a column without a name"}]


@pytest.mark.parametrize("body", [b"", b"\n\n", b"\xef\xbb\xbf", b"a,b,c\n", b"a,b,c", b"a,b,c\n\n\n"])
def test_a_file_without_rows_is_unreadable(reader: Any, body: bytes) -> None:
    with pytest.raises(Unreadable):
        reader(body, ABC)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_may_be_lf_crlf_or_cr(reader: Any, end: str) -> None:
    got = reader(f'a,b,c{end}1,2,3{end}"x{end}y",5,6{end}{end}7,8,9'.encode(), ABC)
    assert got.cells == [(1, "1", "2", "3"), (2, f"x{end}y", "5", "6"), (3, "7", "8", "9")]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff"), ("gb18030", b"")],
)
@pytest.mark.parametrize("block_bytes", [7, 1 << 20])
def test_encodings_are_found(reader: Any, encoding: str, mark: bytes, block_bytes: int) -> None:
    # 䶮 and 㘵 are in place names and cannot be written in GBK
    body = mark + "代码,名称,人口\n110101,东城区䶮㘵𠮷,5\n".encode(encoding)
    assert reader(body, NAMED, block_bytes=block_bytes).cells == [(1, "110101", "东城区䶮㘵𠮷", 5)]


def test_gb_18030_is_found_behind_a_long_ascii_part(reader: Any) -> None:
    body = b"a,b,c\n" + b"1,2,3\n" * 5000 + "4,东城区,6\n".encode("gb18030")
    assert reader(body, ABC, block_bytes=4096).cells[-1] == (5001, "4", "东城区", "6")


def test_a_one_byte_encoding_is_read_only_when_declared(reader: Any) -> None:
    body = b"a,b,c\n1,2,3\n4,5,\xa9\n"
    got = reader(body, ABC)
    assert got.cells == [(1, "1", "2", "3")]
    assert got.faults == [(2, None, "readable")]
    assert "declare it" in got.refused["reason"][0]
    assert reader(body, ABC, encoding="cp1252").cells[1] == (2, "4", "5", "©")
    assert reader(body, ABC, encoding="latin-1").cells[1] == (2, "4", "5", "©")
    with pytest.raises(UnsupportedMedia, match="ebcdic"):
        reader(body, ABC, encoding="ebcdic")


def test_one_damaged_line_does_not_make_utf_8_another_encoding(reader: Any) -> None:
    lines = [f"{n},东城区,x".encode() for n in range(50)]
    lines[20] = lines[20][:-4] + b",x"
    got = reader(b"a,b,c\n" + b"\n".join(lines), ABC)
    assert got.faults == [(21, None, "readable")]
    assert len(got.cells) == 49


def test_utf_16_without_a_mark_must_be_declared(reader: Any) -> None:
    body = "a,b,c\n1,2,3\n".encode("utf-16-le")
    with pytest.raises(Unreadable, match="declare its encoding"):
        reader(body, ABC)
    assert reader(body, ABC, encoding="utf-16").cells == [(1, "1", "2", "3")]


def test_each_broken_line_is_named_and_the_others_are_kept(reader: Any) -> None:
    body = b'a,b,c\n1,2,3\n1,2\n1,2,3,4\n\n"x"y,2,3\n\x00,2,3\n4,5 "six",7\n"open,1,2\n8,9,10\n'
    got = reader(body, ABC)
    assert got.cells == [(1, "1", "2", "3"), (6, "4", '5 "six"', "7"), (8, "8", "9", "10")]
    assert got.refused.select("row", "reason", "record").rows() == [
        (2, "has 2 fields, not 3", "1,2"),
        (3, "has 4 fields, not 3", "1,2,3,4"),
        (4, "text follows a closing quote; a quote inside a value must be doubled", '"x"y,2,3'),
        (5, "holds a NUL character", "\x00,2,3"),
        (7, "a quote is opened and never closed", '"open,1,2'),
    ]
    assert set(got.refused["rule"]) == {"readable"}


def test_cells_of_a_wrong_type_are_named_with_their_row(reader: Any) -> None:
    items = [A, DataItem(code="n", name="n", data_type=DataType.INTEGER), DataItem(code="d", name="d", data_type=DataType.DATE)]
    got = reader("a,n,d\nx,1,2020-02-29\ny,１,2021-02-29\nz,2.0,\n".encode(), items)
    assert [row[0] for row in got.cells] == [1]
    assert got.refused.select("row", "item", "rule", "value", "record").rows() == [
        (2, "n", "type", "１", '{"a":"y","n":"１","d":"2021-02-29"}'),
        (2, "d", "type", "2021-02-29", '{"a":"y","n":"１","d":"2021-02-29"}'),
        (3, "n", "type", "2.0", '{"a":"z","n":"2.0","d":null}'),
    ]


def test_a_header_may_be_quoted(reader: Any) -> None:
    assert reader(b'\n\n"a","b",c\r\n1,2,3\r\n', ABC).cells == [(1, "1", "2", "3")]


def test_one_column_is_a_table_too(reader: Any) -> None:
    assert reader(b"a\n1\n\n2\n", [A]).cells == [(1, "1"), (2, "2")]
    got = reader(b'a\n"1\n\n1"\n2,3\n', [A])
    assert got.cells == [(1, "1\n\n1")]
    assert got.faults == [(2, None, "readable")]


def test_a_file_whose_quotes_never_pair_is_given_up(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dxmesh_tabular.read_csv._MAX_REREAD", 10_000)
    with pytest.raises(Unreadable, match="quotes of the file do not pair"):
        reader(b"a,b,c\n" + b'"1,2,3\n' * 5001, ABC)


def test_a_record_may_be_longer_than_a_block_but_not_endless(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    long = b"x" * 2_000_000
    assert len(reader(b"a,b,c\n" + long + b",2,3\n4,5,6\n", ABC, block_bytes=1 << 16).cells[0][1]) == len(long)
    monkeypatch.setattr("dxmesh_tabular.read_csv.MAX_RECORD_BYTES", 1 << 20)
    with pytest.raises(Unreadable, match="row 1 is longer"):
        reader(b"a,b,c\n" + long + b",2,3\n4,5,6\n", ABC, block_bytes=1 << 16)
    got = reader(b'a,b,c\n1,"2,3\n4,5,6\n' + b"7,8,9\n" * 400_000, ABC, block_bytes=1 << 16)
    assert got.faults == [(1, None, "readable")]
    assert got.rows.height == 400_001


def test_wide_files_are_proven_in_another_way(reader: Any) -> None:
    items = [DataItem(code=f"i{n}", name=f"i{n}", data_type=DataType.TEXT) for n in range(300)]
    header = ",".join(item.code for item in items)
    body = header + "\n" + ",".join(['"x"'] * 300) + "\n" + ",".join(["y"] * 299) + "\n" + ",".join(["z"] * 300) + "\n"
    got = reader(body.encode(), items)
    assert [row[0] for row in got.cells] == [1, 3]
    assert got.faults == [(2, None, "readable")]


def _by_hand(body: bytes, width: int) -> tuple[list[tuple[Any, ...]], list[int]]:
    rows, broken = [], []
    for number, record in enumerate(take_records(body, ",", "utf-8", last=True).records, 1):
        if record.fault is None and len(record.fields) == width:
            rows.append((number, *(cell or None for cell in record.fields)))
        else:
            broken.append(number)
    return rows, broken


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "中", ",", ",", '"', '""', "\n", "\n", "\r\n", "\r", "\0", "b,c,d\n", '"x",y,z\n'])).map("".join),
    st.sampled_from([5, 64, 1 << 20]),
)
@example('x"y,1,2\n3",4,5\n', 1 << 20)
@example('"a\n",b,c\nd,"e""","\n"\n', 5)
@example(",,\n,\n,,,\n", 1 << 20)
def test_reading_in_blocks_of_any_size_gives_what_reading_record_by_record_gives(body: str, block_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sent.csv"
        path.write_bytes(b"a,b,c\n" + body.encode())
        rows, broken = _by_hand(body.encode(), 3)
        options = ReadOptions(block_bytes=block_bytes)
        if not rows and not broken:
            with pytest.raises(Unreadable):
                list(read(path, MediaType.CSV, ABC, options=options))
            return
        chunks = list(read(path, MediaType.CSV, ABC, options=options))
        assert [row for chunk in chunks for row in chunk.rows.rows()] == rows
        assert [row for chunk in chunks for row in chunk.refused["row"]] == broken


def test_delimiters_inside_quotes_do_not_make_up_for_missing_fields(tmp_path: Path) -> None:
    sent = tmp_path / "sent.csv"
    sent.write_text('a,b,c\nb,c,d\n"b,c,d\n"\n')
    items = [DataItem(code=code, name=code, data_type="C") for code in "abc"]
    chunks = list(read(sent, MediaType.CSV, items))
    assert [row[1:] for chunk in chunks for row in chunk.rows.rows()] == [("b", "c", "d")]
    assert [line["rule"] for chunk in chunks for line in chunk.refused.to_dicts()] == ["readable"]


@given(st.text('",|a\r\n', max_size=12).map(lambda text: (text + "\n").encode()), st.sampled_from(",|"))
def test_quotes_are_proven_alike_in_small_blocks_and_in_large_ones(block: bytes, delimiter: str) -> None:
    if block.count(b"\r") == block.count(b"\r\n"):  # other blocks are never asked about
        assert _quotes_are_regular(block, delimiter) == _quotes_pair(block, delimiter)
