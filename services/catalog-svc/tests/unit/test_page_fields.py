"""Forms of the pages: bodies become fields and fields bodies, rows are counted anew, faults find their fields."""

import time

import pytest

from catalog_svc.pages.fields import Form, body_of, flat, read, renumbered
from dxmesh_schemas.problem import Invalid, Unreadable


def test_a_body_becomes_fields_and_the_fields_the_same_body() -> None:
    body = {"name": "名录", "basis": {"kind": "law"}, "purposes": ["A", "B"], "items": [{"code": "a", "codes": ["1", "2"]}, {"code": "b"}]}
    values = flat(body)
    assert values["/items/0/codes/-"] == ["1", "2"]
    assert body_of(values) == body
    assert flat({"a": None, "b": True, "c": 1.5}) == {"/b": ["true"], "/c": ["1.5"]}


def test_blank_fields_and_controls_are_left_out() -> None:
    assert body_of({"/a": [" "], "/b/-": ["", "x"], "revision": ["3"], "/": ["x"], "//": ["x"]}) == {"b": ["x"]}
    with pytest.raises(Unreadable):
        body_of({"/a": ["1"], "/a/b": ["2"]})


def test_rows_are_counted_anew_without_blank_ones_and_one_stands_there_at_least() -> None:
    values = {"/items/7/code": ["x"], "/items/2/code": [" "], "/items/2/kind": ["C"], "/items/4/code": ["y"], "/name": ["n"]}
    assert renumbered(values, "items", told_by=("code",)) == {"/name": ["n"], "/items/0/code": ["y"], "/items/1/code": ["x"]}
    assert renumbered(values, "items", told_by=("code",), without=4) == {"/name": ["n"], "/items/0/code": ["x"]}
    assert "/items/2/code" in renumbered(values, "items", told_by=("code",), one_more=True)
    assert Form("x", renumbered({}, "items", told_by=("code",))).rows("items") == range(1)


def test_what_a_page_does_not_offer_is_handed_on_row_by_row() -> None:
    form = Form("x", {"/a": ["1"], "/b": ["2"], "/items/1/c": ["3"], "/items/1/d": ["4"], "revision": ["9"]})
    assert form.kept(["/a", "/items/*/c"], "items") == {None: [("/b", "2")], 1: [("/items/1/d", "4")]}


def test_a_thousand_faults_find_their_fields_at_once() -> None:
    form = Form("x")
    form.refuse(Invalid("x", errors=[{"pointer": f"/items/{number}/code", "detail": "taken"} for number in range(1_000)]))
    begun = time.process_time()  # what others do on this machine does not count
    for number in range(20_000):
        form.faults_at(f"/items/{number}/code")
    assert time.process_time() - begun < 1
    assert form.faults_at("/items/999/code") == ["taken"]


def test_a_form_is_read_as_it_was_written() -> None:
    assert read(b"/a=%E5%90%8D%0D%0A%E5%BD%95&/b=&/b=x") == {"/a": ["名\n录"], "/b": ["", "x"]}
    with pytest.raises(Unreadable):
        read(b"\xff")
    with pytest.raises(Unreadable):
        read(b"&".join(b"a=1" for _ in range(60_001)))
