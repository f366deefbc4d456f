"""What the page filters make of labels, ids and parts of a whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_runtime.shell.pages import bar_widths, short, tongues


def test_the_english_after_the_chinese_is_marked_as_english() -> None:
    assert tongues("批次 Newest batches") == '批次 <span class="en" lang="en">Newest batches</span>'


@pytest.mark.parametrize("label", ["GB/T 36344", "API 接口", "Rows", "批次", "第 3 页", ""])
def test_a_label_in_one_tongue_stays_as_it_is(label: str) -> None:
    assert tongues(label) == label


def test_a_label_is_escaped() -> None:
    assert "<b>" not in tongues("批<b>次 <b>Batch") + tongues("批次 Batch<script>")


def test_an_id_is_told_by_its_end_and_kept_whole_in_the_title() -> None:
    assert short("01a20400-6ab3-7145-8b7b-e6ffdb400b30") == (
        '<abbr class="mono nowrap" title="01a20400-6ab3-7145-8b7b-e6ffdb400b30">…db400b30</abbr>'
    )
    assert ">short<" in short("short")


@given(st.lists(st.integers(0, 10**12), max_size=6))
def test_a_bar_is_filled_and_shows_every_part_that_is_not_empty(values: list[int]) -> None:
    widths = bar_widths(values)
    assert sum(widths) == pytest.approx(1000 if any(values) else 0)
    assert all((width > 4.8) == (value > 0) for width, value in zip(widths, values, strict=True))
