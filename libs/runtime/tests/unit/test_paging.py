"""Cursors: what a list gives out leads to the next row, anything else is refused by name."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_runtime import paging
from dxmesh_schemas.problem import Problem

AT, ROW = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC), UUID(int=7)
READERS = (paging.after_text, paging.after_id, paging.after_number, paging.after_time)


@given(key=st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=40))
def test_a_page_goes_on_behind_its_last_row(key: str) -> None:
    assert paging.after_text(paging.cut(["a", key, "z"], 2, str).next_cursor) == key


@pytest.mark.parametrize(("key", "read"), [(ROW, paging.after_id), (41, paging.after_number), ((AT, ROW), paging.after_time)])
def test_ids_numbers_and_times_come_back_as_they_were(key: object, read: object) -> None:
    assert read(paging.cut([key, None], 1, lambda row: row).next_cursor) == key


def test_the_last_page_has_no_cursor() -> None:
    assert paging.cut([1, 2], 2, int) == paging.Slice([1, 2], None)


@pytest.mark.parametrize("cursor", ["", "x", "é", "AA AA", "AAAA", "//", "MjAyNnwx", "a" * 5000, "_w"])
@pytest.mark.parametrize("read", READERS[1:])
def test_what_is_no_cursor_is_refused_by_name(read: object, cursor: str) -> None:
    with pytest.raises(Problem) as found:
        read(cursor)
    assert (found.value.status, found.value.slug, found.value.members["errors"][0]["pointer"]) == (422, "cursor-invalid", "query:cursor")


@pytest.mark.parametrize(
    "text",
    [
        f"0001-01-01T00:00:00+14:00|{ROW}",
        f"2026-03-02T09:30:00|{ROW}",
        f"{AT.isoformat()}|1",
        f"{AT.isoformat()}|{ROW}|{ROW}",
        "-1",
        "٣",
        "9" * 10,
        "\u0000",
    ],
)
@pytest.mark.parametrize("read", READERS[1:])
def test_a_forged_cursor_is_refused_before_it_reaches_the_database(read: object, text: str) -> None:
    with pytest.raises(paging.CursorInvalid):
        read(paging.encode(text.encode()))


@pytest.mark.parametrize("read", READERS)
def test_no_cursor_begins_at_the_first_row(read: object) -> None:
    assert read(None) is None
