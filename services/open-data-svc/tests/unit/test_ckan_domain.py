"""How parameters and searches of the CKAN face are read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_data_svc.ckan import domain
from open_data_svc.ckan.domain import Parameters, Query
from open_data_svc.ckan.errors import SearchQueryError, ValidationError


@pytest.mark.parametrize(
    ("value", "expected"), [(None, 100), ("", 100), ("7", 7), (7, 7), (" 7 ", 7), (10**30, 32_000), ("99999999", 32_000), (0, 0)]
)
def test_a_number_is_read_and_cut_to_the_most_allowed(value: Any, expected: int) -> None:
    given_ = Parameters({"limit": value})
    assert given_.number("limit", 100, most=32_000) == expected
    given_.check()


@pytest.mark.parametrize("value", ["ten", "1.5", 1.5, True, "-1", -1, [1], {"a": 1}, "1" * 50, "١"])
def test_what_is_not_a_natural_number_is_a_validation_error_naming_the_parameter(value: Any) -> None:
    given_ = Parameters({"limit": value})
    given_.number("limit", 100, most=32_000)
    with pytest.raises(ValidationError) as caught:
        given_.check()
    assert list(caught.value.errors) == ["limit"]


def test_lists_come_as_json_as_lists_or_with_commas() -> None:
    for value in ('["a", "b"]', ["a", "b"], "a,b", " a , b ,"):
        assert Parameters({"fields": value}).texts("fields") == ["a", "b"]


@pytest.mark.parametrize("value", ["[1]", "[", [1, 2], {"a": 1}, 5])
def test_a_wrong_list_is_a_validation_error(value: Any) -> None:
    given_ = Parameters({"fields": value})
    given_.texts("fields")
    with pytest.raises(ValidationError):
        given_.check()


def test_deeply_nested_json_is_a_validation_error() -> None:
    given_ = Parameters({"filters": '{"a":' * 100_000})
    assert given_.mapping("filters") == {}
    with pytest.raises(ValidationError):
        given_.check()


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query((), ())),
        ("街道 streets", Query(("街道", "streets"), ())),
        ('"town streets"', Query(("town streets",), ())),
        ("stre*", Query(("stre",), ())),
        ("organization:x", Query((), (("organization", ("x",), True),))),
        ('+organization:"民政局" -tags:交通', Query((), (("organization", ("民政局",), True), ("tags", ("交通",), False)))),
        ('tags:(a OR "b c")', Query((), (("tags", ("a", "b c"), True),))),
        ("12:30", Query(("12:30",), ())),
    ],
)
def test_the_search_language_is_read(text: str, query: Query) -> None:
    assert domain.parse_query(text, strict=False) == query


def test_an_unknown_field_is_refused_in_a_filter_and_a_word_elsewhere() -> None:
    assert domain.parse_query("colour:red", strict=False).words == ("colour:red",)
    with pytest.raises(SearchQueryError, match="colour"):
        domain.parse_query("colour:red", strict=True)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for strict in (False, True):
        try:
            query = domain.parse_query(text, strict=strict)
        except SearchQueryError:
            continue
        assert all(query.words)
        assert all(values for _, values, _ in query.fields)


def test_the_first_known_field_of_an_order_decides() -> None:
    assert domain.parse_order("score desc, metadata_modified desc") == "newest"
    assert domain.parse_order("name asc") == "name"
    assert domain.parse_order("title_string desc,name asc") == "title_desc"
    assert domain.parse_order("") == "newest"
    for wrong in ("colour asc", "name sideways", "name; DROP TABLE dataset"):
        with pytest.raises(SearchQueryError):
            domain.parse_order(wrong)


def test_rows_are_ordered_by_known_columns_only() -> None:
    assert domain.parse_row_order('code, "name" desc,_id asc', ["_id", "code", "name"]) == [("code", False), ("name", True), ("_id", False)]
    with pytest.raises(ValidationError):
        domain.parse_row_order("age desc", ["code"])
