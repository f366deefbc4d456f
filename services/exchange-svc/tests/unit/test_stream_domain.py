"""Where a stream is cut: whatever pieces it comes in, the batches hold its rows, each once, in their order."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_svc.stream.domain import Cutter, batch_id_of, passed_over
from exchange_svc.stream.errors import LineTooLong, StreamGap

LINES = st.lists(st.sampled_from([b"{}", b'{"a":1}', b'{"a":"' + b"x" * 40 + b'"}', b"", b"  "]), max_size=30)


def rows(content: bytes) -> list[bytes]:
    return [line for line in content.split(b"\n") if line.strip()]


@given(
    lines=LINES,
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=20),
    most=st.integers(1, 5),
    skip=st.integers(0, 4),
    ended=st.booleans(),
)
def test_batches_hold_every_row_once_and_keep_to_their_limits(
    lines: list[bytes], sizes: list[int], most: int, skip: int, ended: bool
) -> None:
    content = b"\n".join(lines) + (b"\n" if ended else b"")
    cutter, cuts, place = Cutter(most, 60, skip), [], 0
    while place < len(content):
        size = sizes[place % len(sizes)]
        cuts += cutter.feed(content[place : place + size])
        place += size
    cuts += cutter.finish()
    assert [row for cut in cuts for row in rows(cut.content)] == rows(content)[skip:]
    assert all(len(rows(cut.content)) == cut.row_count <= most for cut in cuts)
    assert all(len(b"\n".join(rows(cut.content))) <= 60 for cut in cuts)


def test_what_waits_is_cut_when_it_is_asked_for_and_half_a_line_is_not() -> None:
    cutter = Cutter(10, 1000, 0)
    assert list(cutter.feed(b'{"a":1}\n{"a":2}\n{"a"')) == []
    assert cutter.waits
    assert [(cut.content, cut.row_count) for cut in cutter.flush()] == [(b'{"a":1}\n{"a":2}\n', 2)]
    assert not cutter.waits
    assert [cut.content for cut in cutter.feed(b":3}\n")] + [cut.content for cut in cutter.flush()] == [b'{"a":3}\n']


@pytest.mark.parametrize("piece", [b"x" * 61, b"x" * 61 + b"\n"])
def test_a_line_beyond_the_limit_is_refused_also_before_its_end_has_come(piece: bytes) -> None:
    with pytest.raises(LineTooLong, match="60 bytes"):
        list(Cutter(10, 60, 0).feed(piece))


def test_rows_that_are_there_are_passed_over_and_a_gap_is_refused() -> None:
    assert (passed_over(0, 7), passed_over(7, 7)) == (7, 0)
    with pytest.raises(StreamGap, match="send from row 7 on"):
        passed_over(8, 7)


def test_a_batch_id_is_that_of_the_stream_and_its_number() -> None:
    one, two = UUID(int=1), UUID(int=2)
    known = batch_id_of(one, one, one, 1)
    assert known == batch_id_of(one, one, one, 1)
    assert (
        len(
            {
                known,
                batch_id_of(two, one, one, 1),
                batch_id_of(one, two, one, 1),
                batch_id_of(one, one, two, 1),
                batch_id_of(one, one, one, 2),
            }
        )
        == 5
    )
