"""Ranges, preconditions and file names of downloads."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_data_svc.download import domain
from open_data_svc.download.domain import RangeNotSatisfiable, Span, Verdict

ETAG = '"abc"'
AT = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
SAME, LATER, EARLIER = "Sun, 01 Mar 2026 12:00:00 GMT", "Mon, 02 Mar 2026 12:00:00 GMT", "Sat, 28 Feb 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", Span(0, 10)),
        ("bytes=10-", Span(10, 100)),
        ("bytes=-10", Span(90, 100)),
        ("bytes=-1000", Span(0, 100)),
        ("bytes=90-1000", Span(90, 100)),
        ("BYTES = 5 - 5", Span(5, 6)),
        (None, None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=9-0", None),
        ("bytes=a-b", None),
        ("lines=0-9", None),
        ("bytes=0-1,5-6", None),
        ("bytes=0x1-9", None),
        ("bytes=１-２", None),
    ],
)
def test_a_range_is_read_or_disregarded(header: str | None, expected: Span | None) -> None:
    if header == "bytes=１-２":  # digits of another script are not digits of HTTP
        header = header.encode("utf-8").decode("latin-1")
    assert domain.span(header, 100, etag=ETAG, modified_at=AT) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=999999999999-", "bytes=-0"])
def test_a_range_outside_the_file_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        domain.span(header, 100, etag=ETAG, modified_at=AT)


@given(st.text(max_size=40), st.integers(1, 1000))
def test_whatever_the_header_says_the_span_lies_in_the_file(header: str, size: int) -> None:
    try:
        span = domain.span(header, size, etag=ETAG, modified_at=AT)
    except RangeNotSatisfiable:
        return
    assert span is None or 0 <= span.start < span.end <= size


@pytest.mark.parametrize(
    ("if_range", "honoured"), [(ETAG, True), ('W/"abc"', False), ('"old"', False), (SAME, True), (EARLIER, False), ("x", False)]
)
def test_a_range_counts_only_for_the_content_that_if_range_names(if_range: str, honoured: bool) -> None:
    assert (domain.span("bytes=0-9", 100, etag=ETAG, modified_at=AT, if_range=if_range) is not None) is honoured


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, Verdict.SEND),
        ({"if_none_match": ETAG}, Verdict.NOT_MODIFIED),
        ({"if_none_match": '"x", W/"abc"'}, Verdict.NOT_MODIFIED),
        ({"if_none_match": "*"}, Verdict.NOT_MODIFIED),
        ({"if_none_match": '"x"', "if_modified_since": LATER}, Verdict.SEND),
        ({"if_modified_since": SAME}, Verdict.NOT_MODIFIED),
        ({"if_modified_since": EARLIER}, Verdict.SEND),
        ({"if_modified_since": "yesterday"}, Verdict.SEND),
        ({"if_match": ETAG}, Verdict.SEND),
        ({"if_match": 'W/"abc"'}, Verdict.FAILED),
        ({"if_match": '"x"'}, Verdict.FAILED),
        ({"if_unmodified_since": EARLIER}, Verdict.FAILED),
        ({"if_unmodified_since": SAME}, Verdict.SEND),
    ],
)
def test_preconditions_are_judged_in_http_order(headers: dict[str, str], verdict: Verdict) -> None:
    assert domain.judge(etag=ETAG, modified_at=AT, **headers) is verdict


def test_a_file_is_saved_under_its_title_without_anything_that_could_break_out() -> None:
    header = domain.content_disposition("streets", '街道/../"清单"\r\nX-Evil: 1', "csv")
    assert "\r" not in header
    assert "\n" not in header
    assert header.startswith("attachment; filename=\"streets.csv\"; filename*=UTF-8''%E8%A1%97%E9%81%93")
    assert "/" not in header.partition("''")[2]
    assert domain.content_disposition("streets", "...", "csv").endswith("UTF-8''streets.csv")
