"""Forms of pages: a long one is made piece by piece, and is the one that is made whole."""

import io

import polars as pl
import pytest

from exchange_svc import formats
from exchange_svc.formats import Format


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_PIECE_ROWS", 3)


@pytest.mark.parametrize("form", [Format.JSON, Format.NDJSON, Format.CSV, Format.PARQUET])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_pieces_of_a_page_are_the_page(form: Format, count: int) -> None:
    frame = pl.DataFrame({"code": [f"{n}é" for n in range(count)], "people": [None, *range(1, count)]})
    assert b"".join(formats.pieces(frame, form, "next")) == formats.render(frame, form, "next")


@pytest.mark.parametrize("form", [Format.JSON, Format.NDJSON, Format.CSV, Format.ARROW])
def test_a_piece_holds_its_rows_only(form: Format) -> None:
    frame = pl.DataFrame({"text": ["x" * 100] * 9})
    pieces = list(formats.pieces(frame, form, None))
    assert max(piece.count(b"x" * 100) for piece in pieces) == 3
    assert sum(piece.count(b"x" * 100) for piece in pieces) == 9


def test_a_stream_of_arrow_has_the_types_of_one_that_is_made_whole() -> None:
    frame = pl.DataFrame({"code": ["a", None, "c", "d"], "at": [None] * 4}, schema={"code": pl.String, "at": pl.Datetime("us", "UTC")})
    streamed = b"".join(formats.pieces(frame, Format.ARROW, None))
    assert pl.read_ipc_stream(io.BytesIO(streamed)).equals(frame)
    assert pl.read_ipc_stream(io.BytesIO(streamed)).schema == frame.schema
