from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_svc.code_set import domain
from catalog_svc.code_set.entry import CodeSetKind, Entry, Standing, decided, in_force, standing
from dxmesh_schemas.catalog_events import CodeSetPublished


def test_good_codes_have_no_fault() -> None:
    assert domain.faults(["01", "男", "a b", "A", "（甲）"]) == []


@pytest.mark.parametrize(
    ("codes", "pointer"),
    [
        (["1", ""], "/codes/1"),
        (["1", "2", "1"], "/codes/2"),
        (["（甲）", "(甲)"], "/codes/1"),
        (["（甲）", "（甲）"], "/codes/1"),
        (["é", "e\u0301"], "/codes/1"),
        (["１"], "/codes/0"),
        (["0\u200b1"], "/codes/0"),
        (["0\x001"], "/codes/0"),
        ([" 1"], "/codes/0"),
        (["x" * 201], "/codes/0"),
    ],
)
def test_a_wrong_code_is_pointed_at(codes: list[str], pointer: str) -> None:
    assert [where for where, _ in domain.faults(codes)] == [pointer]


def test_not_more_than_twenty_faults_are_listed() -> None:
    assert len(domain.faults([""] * 500)) == 20


def test_codes_beyond_what_an_event_carries_are_too_many() -> None:
    event = CodeSetPublished(name="x", version=1, title="x", codes=tuple(f"{n:0100d}" for n in range(10_000)))
    fault = domain.event_fault(event)
    assert fault is not None
    assert fault[0] == "/codes"
    assert domain.event_fault(event.model_copy(update={"codes": event.codes[:100]})) is None


DAY = date(2013, 10, 18)
COUNTY = Entry("330621", label="绍兴县", valid_until=DAY, successors=("330603",))
DISTRICT = Entry("330603", label="柯桥区", valid_from=DAY)


@pytest.mark.parametrize(
    ("entry", "day", "expected"),
    [
        (COUNTY, date(2013, 10, 17), Standing.VALID),
        (COUNTY, DAY, Standing.RETIRED),
        (DISTRICT, date(2013, 10, 17), Standing.NOT_YET),
        (DISTRICT, DAY, Standing.VALID),
        (Entry("1"), date(1, 1, 1), Standing.VALID),
        (Entry("1", is_retired=True), date(2020, 1, 1), Standing.RETIRED),
        (Entry("1", is_retired=True), date(2019, 12, 31), Standing.UNCERTAIN),
    ],
)
def test_an_entry_stands_on_a_day_as_its_days_say(entry: Entry, day: date, expected: Standing) -> None:
    assert standing(entry, day, known_on=date(2020, 1, 1)) is expected


def test_a_code_holds_when_any_source_says_so_unless_one_source_leads() -> None:
    entries = [Entry("1", "a"), Entry("1", "b", valid_until=DAY)]
    for leading, expected in ((None, Standing.VALID), ("a", Standing.VALID), ("b", Standing.RETIRED), ("c", Standing.UNLISTED)):
        assert decided(entries, DAY, known_on=DAY, leading_source=leading)[0] is expected
        assert in_force(entries, DAY, leading_source=leading) == (["1"] if expected is Standing.VALID else [])


@given(
    st.lists(
        st.builds(
            Entry,
            code=st.sampled_from("123"),
            source=st.sampled_from("ab"),
            valid_from=st.none() | st.dates(),
            valid_until=st.none() | st.dates(),
        ),
        max_size=8,
    ),
    st.dates(),
    st.sampled_from([None, "a"]),
)
def test_what_is_in_force_is_what_stands_as_valid(entries: list[Entry], day: date, leading: str | None) -> None:
    codes = {entry.code for entry in entries}
    said = {code: [entry for entry in entries if entry.code == code] for code in codes}
    valid = {code for code in codes if decided(said[code], day, known_on=day, leading_source=leading)[0] is Standing.VALID}
    assert set(in_force(entries, day, leading_source=leading)) == valid


def test_periods_of_a_code_may_touch_but_not_overlap() -> None:
    first, second = Entry("1", valid_until=DAY), Entry("1", valid_from=DAY)
    assert domain.entry_faults([first, second]) == []
    assert domain.entry_faults([Entry("1", is_retired=True), Entry("1")]) == [], "a code that is used again"
    assert [(index, field) for index, field, _ in domain.entry_faults([first, Entry("1", valid_from=date(2013, 10, 17))])] == [(1, "code")]
    assert domain.entry_faults([first, Entry("1", "another source")]) == []


def test_a_divisions_parent_is_the_nearest_that_is_known() -> None:
    codes = ["33", "330000", "330600", "330603", "330603001", "330603001005", "419001", "410000"]
    settled = domain.settle([Entry(code) for code in codes], CodeSetKind.DIVISION)
    assert [entry.parent for entry in settled] == [None, "33", "330000", "330600", "330603", "330603001", "410000", None]
    assert domain.settle([Entry("330603")], CodeSetKind.DIVISION, {"330600"})[0].parent == "330600"
    assert domain.settle([Entry("330603")], CodeSetKind.OWN, {"330600"})[0].parent is None


def test_a_loop_of_parents_is_found_at_any_length_and_a_long_chain_is_none() -> None:
    chain = [Entry(str(number), parent=str(number + 1)) for number in range(5_000)]
    assert domain.entry_faults([*chain, Entry("5000")]) == []
    looped = domain.entry_faults([*chain, Entry("5000", parent="0")], limit=10_000)
    assert len(looped) == 5_001
    assert {field for _, field, _ in looped} == {"parent"}


def test_a_code_with_many_periods_is_checked_in_no_time() -> None:
    days = [date.fromordinal(700_000 + number) for number in range(20_001)]
    periods = [Entry("1", valid_from=start, valid_until=end) for start, end in pairwise(days)]
    assert domain.entry_faults(periods) == []
    assert [index for index, _, _ in domain.entry_faults([*periods, Entry("1", valid_from=days[5], valid_until=days[6])])] == [20_000]
