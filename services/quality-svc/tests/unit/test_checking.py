"""Batches through the rules: what is counted, what is written, and that every row ends up in exactly one place."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dxmesh_schemas.catalog import DataItem, DataType, ItemReference, ResourceSnapshot
from dxmesh_schemas.exchange import BatchKind
from dxmesh_tabular.items import REFUSED_SCHEMA
from quality_svc.assessment.checking import Checked, Plan, Work, check
from quality_svc.assessment.columns import CHUNK_ROWS, size
from quality_svc.rule.domain import rules_of
from quality_svc.rule.known import Facts, KnownValues, Referenced

MakeResource = Callable[..., ResourceSnapshot]
FrameOf = Callable[..., pl.DataFrame]
MakeWork = Callable[..., Work]

CODE = DataItem(code="code", name="代码", data_type=DataType.TEXT, length=4, pattern=r"\w+")
NAME = DataItem(code="name", name="名称", data_type=DataType.TEXT, required=True)
COUNT = DataItem(code="count", name="人数", data_type=DataType.INTEGER, minimum=0)
EASY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plan_of(resource: ResourceSnapshot, facts: Facts | None = None, kind: BatchKind = BatchKind.APPEND) -> Plan:
    return Plan(resource, rules_of(resource, kind), facts or Facts())


def read(path: Path | None) -> pl.DataFrame:
    assert path is not None
    return pl.read_parquet(path)


def failures(checked: Checked) -> dict[tuple[str, str | None], tuple[int, int]]:
    return {(one.rule, one.item): (one.checked_count, one.failed_count) for one in checked.results}


def summary(checked: Checked) -> tuple[Any, ...]:
    lines = None if checked.quarantine is None else read(checked.quarantine).rows()
    rows = None if checked.accepted is None else read(checked.accepted).rows()
    return checked.bad_row_count, checked.results, checked.accepted_count, rows, checked.quarantine_line_count, lines


def test_a_good_batch_writes_nothing_and_counts_every_rule(
    make_resource: MakeResource, frame_of: FrameOf, make_work: MakeWork, tmp_path: Path
) -> None:
    resource = make_resource(CODE, NAME, COUNT, key=("code",))
    frame = frame_of(resource, [{"code": "a1", "name": "街道", "count": 3}, {"code": "a2", "name": "镇", "count": None}])
    work = make_work(frame)
    [checked] = check(plan_of(resource), [work], tmp_path)
    assert (checked.bad_row_count, checked.accepted, checked.quarantine) == (0, None, None)
    assert {(one.rule, one.item, one.checked_count, one.failed_count) for one in checked.results} == {
        ("readable", None, 2, 0),
        ("required", "code", 2, 0),
        ("length", "code", 2, 0),
        ("pattern", "code", 2, 0),
        ("required", "name", 2, 0),
        ("type", "count", 2, 0),
        ("range", "count", 1, 0),
        ("unique", "code", 2, 0),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{work.batch_id}.rows.parquet"]


def test_bad_rows_are_kept_with_row_item_rule_reason_value_and_record(
    make_resource: MakeResource, frame_of: FrameOf, make_work: MakeWork, tmp_path: Path
) -> None:
    resource = make_resource(CODE, NAME, COUNT, key=("code",))
    rows = [
        {"code": "a1", "name": "街道", "count": 3},
        {"code": "toolong", "name": " ", "count": -1},
        {"code": "a1", "name": "镇", "count": 1},
        {"code": "b", "name": "乡", "count": 1},
    ]
    refused = [(2, "count", "type"), (7, None, "readable")]
    [checked] = check(plan_of(resource), [make_work(frame_of(resource, rows, [1, 3, 4, 6]), refused)], tmp_path)
    assert checked.bad_row_count == 2
    assert read(checked.accepted)["row_"].to_list() == [1, 6]
    quarantine = read(checked.quarantine)
    assert quarantine.schema == REFUSED_SCHEMA
    assert quarantine.select("row", "item", "rule", "value").rows() == [
        (2, "count", "type", "?"),
        (3, "code", "length", "toolong"),
        (3, "name", "required", " "),
        (3, "count", "range", "-1"),
        (4, "code", "unique", "a1"),
        (7, None, "readable", "?"),
    ]
    reasons = quarantine["reason"].to_list()
    assert reasons[1] == "code has 7 characters; at most 4 are allowed"
    assert reasons[3] == "count is '-1'; allowed is 0 or more"
    assert reasons[4] == "the key (code) 'a1' already stands in row 1; a key may come once in a batch"
    assert "toolong" in quarantine["record"][1]
    assert failures(checked)["readable", None] == (6, 1)
    assert failures(checked)["type", "count"] == (5, 1)
    assert failures(checked)["unique", "code"] == (4, 1)


def test_a_value_in_a_line_is_cut_to_200_characters(
    make_resource: MakeResource, frame_of: FrameOf, make_work: MakeWork, tmp_path: Path
) -> None:
    resource = make_resource(DataItem(code="v", name="v", data_type=DataType.TEXT, enumeration=("a",)))
    rows = [{"v": "街" * 5000}, {"v": "a"}]
    [checked] = check(plan_of(resource), [make_work(frame_of(resource, rows))], tmp_path)
    [line] = read(checked.quarantine).to_dicts()
    assert line["value"] == "街" * 200
    assert len(line["reason"]) < 300


def test_a_key_of_several_items_repeats_as_a_whole_and_rows_without_it_repeat_nothing(
    make_resource: MakeResource, frame_of: FrameOf, make_work: MakeWork, tmp_path: Path
) -> None:
    resource = make_resource(CODE, COUNT, key=("code", "count"))
    pairs = [("a", 1), ("a", 2), ("b", 1), ("a", 1), (None, 1), (None, 1), ("a", 1)]
    rows = [{"code": code, "count": count} for code, count in pairs]
    [checked] = check(plan_of(resource), [make_work(frame_of(resource, rows))], tmp_path)
    lines = read(checked.quarantine).filter(rule="unique")
    assert lines.select("row", "item", "value").rows() == [(4, None, "a, 1"), (7, None, "a, 1")]
    assert failures(checked)["unique", None] == (5, 2)


def test_a_reference_within_the_resource_resolves_to_rows_of_the_batch_and_of_the_table(
    make_resource: MakeResource, frame_of: FrameOf, make_work: MakeWork, tmp_path: Path
) -> None:
    parent = DataItem(code="parent", name="上级", data_type=DataType.TEXT, reference=ItemReference(resource_id=UUID(int=7), item="code"))
    resource = make_resource(CODE, parent, key=("code",), resource_id=UUID(int=7))
    facts = Facts(referenced={"parent": Referenced("the resource 街道名录", "code", (KnownValues.of(pl.Series(["old"])),))})
    rows = [{"code": "a", "parent": None}, {"code": "b", "parent": "a"}, {"code": "c", "parent": "old"}, {"code": "d", "parent": "z"}]
    other = [{"code": "z", "parent": None}]
    works = [make_work(frame_of(resource, rows)), make_work(frame_of(resource, other))]
    first, second = check(plan_of(resource, facts), works, tmp_path)
    [line] = read(first.quarantine).to_dicts()
    assert (line["row"], line["item"], line["value"]) == (4, "parent", "z")
    assert line["reason"] == "parent is 'z', which the item code of the resource 街道名录 does not hold"
    assert second.bad_row_count == 0


def test_a_delete_looks_at_the_key_only(make_resource: MakeResource, frame_of: FrameOf, make_work: MakeWork, tmp_path: Path) -> None:
    resource = make_resource(CODE, NAME, COUNT, key=("code",))
    rows = [{"code": "a"}, {"code": None}, {"code": "b", "count": -5}]
    [checked] = check(plan_of(resource, kind=BatchKind.DELETE), [make_work(frame_of(resource, rows))], tmp_path)
    assert read(checked.quarantine).select("row", "item", "rule").rows() == [(2, "code", "required")]


def test_a_batch_of_nothing_but_refused_lines_keeps_them_as_they_are(
    make_resource: MakeResource, frame_of: FrameOf, make_work: MakeWork, tmp_path: Path
) -> None:
    resource = make_resource(CODE, NAME, key=("code",))
    [checked] = check(plan_of(resource), [make_work(frame_of(resource, []), [(1, None, "readable"), (2, "name", "type")])], tmp_path)
    assert (checked.bad_row_count, checked.accepted, checked.quarantine) == (0, None, None)
    assert failures(checked)["readable", None] == (2, 1)
    assert failures(checked)["type", "name"] == (2, 1)


def test_a_resource_without_rules_lets_every_row_through(
    make_resource: MakeResource, frame_of: FrameOf, make_work: MakeWork, tmp_path: Path
) -> None:
    resource = make_resource(DataItem(code="v", name="v", data_type=DataType.TEXT))
    works = [make_work(frame_of(resource, [{"v": None}, {"v": "x"}])), make_work(frame_of(resource, [{"v": "y"}]))]
    assert [checked.bad_row_count for checked in check(plan_of(resource), works, tmp_path)] == [0, 0]


CELLS = st.fixed_dictionaries(
    {
        "code": st.sampled_from([None, "", "a", "b", "c", "街道", "toolong", "d e"]),
        "name": st.sampled_from([None, "", " ", "街道办事处", "镇"]),
        "count": st.sampled_from([None, -1, 0, 7]),
    }
)
BATCHES = st.lists(st.tuples(st.lists(CELLS, max_size=12), st.integers(0, 3)), min_size=1, max_size=4)


def bad_rows_in_plain_python(rows: Sequence[dict[str, Any]]) -> set[int]:
    bad, seen = set(), set()
    for number, row in enumerate(rows, 1):
        code, name, count = row["code"], row["name"], row["count"]
        fits = code is not None and code.strip() and len(code) <= 4 and all(c.isascii() and c.isalnum() for c in code)
        if not fits or name is None or not name.strip() or (count is not None and count < 0) or code in seen:
            bad.add(number)
        seen.add(code)
    return bad


@EASY
@given(batches=BATCHES)
def test_accepted_and_quarantined_rows_add_up_to_those_received_and_are_the_right_ones(
    batches: list[tuple[list[dict[str, Any]], int]],
    make_resource: MakeResource,
    frame_of: FrameOf,
    make_work: MakeWork,
    tmp_path: Path,
) -> None:
    resource = make_resource(CODE, NAME, COUNT, key=("code",))
    works = []
    for rows, refused in batches:
        lines = [(len(rows) + 1 + number, None, "readable") for number in range(refused)]
        works.append(make_work(frame_of(resource, rows), lines * 2))  # a refused row may have several lines
    checked = check(plan_of(resource), works, tmp_path)
    for (rows, refused), work, one in zip(batches, works, checked, strict=True):
        bad = bad_rows_in_plain_python(rows)
        accepted = list(range(1, len(rows) + 1)) if one.accepted is None else read(one.accepted)["row_"].to_list()
        assert accepted == [number for number in range(1, len(rows) + 1) if number not in bad]
        assert one.bad_row_count == len(bad)
        assert len(accepted) + one.bad_row_count + refused == work.received_count
        if one.quarantine is not None:
            lines = read(one.quarantine)
            assert one.quarantine_line_count == lines.height
            assert set(lines["row"]) == bad | {len(rows) + 1 + number for number in range(refused)}
            assert lines["row"].is_sorted()


@EASY
@given(batches=BATCHES)
def test_together_one_by_one_and_in_pieces_say_the_same(
    batches: list[tuple[list[dict[str, Any]], int]],
    make_resource: MakeResource,
    frame_of: FrameOf,
    make_work: MakeWork,
    tmp_path: Path,
) -> None:
    resource = make_resource(CODE, NAME, COUNT, key=("code",))
    plan = plan_of(resource)
    works = []
    for rows, refused in batches:
        works.append(
            make_work(frame_of(resource, rows), [(number, None, "readable") for number in range(1, refused + 1)], row_group_size=4)
        )
    together = {one.batch_id: summary(one) for one in check(plan, works, tmp_path)}
    alone = {one.batch_id: summary(one) for work in works for one in check(plan, [work], tmp_path)}
    in_pieces = {one.batch_id: summary(one) for one in check(plan, [replace(work, chunk_rows=3) for work in works], tmp_path)}
    assert together == alone
    assert in_pieces == alone


def test_checking_again_writes_the_same_bytes(make_resource: MakeResource, frame_of: FrameOf, make_work: MakeWork, tmp_path: Path) -> None:
    resource = make_resource(CODE, NAME, key=("code",))
    work = make_work(frame_of(resource, [{"code": "a", "name": "x"}, {"code": "a", "name": None}] * 500))
    contents = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        [checked] = check(plan_of(resource), [replace(work, chunk_rows=300)], folder)
        contents.append((read_bytes(checked.accepted), read_bytes(checked.quarantine)))
    assert contents[0] == contents[1]


def read_bytes(path: Path | None) -> bytes:
    assert path is not None
    return path.read_bytes()


def test_wide_rows_are_held_in_smaller_pieces(frame_of: FrameOf, make_resource: MakeResource, tmp_path: Path) -> None:
    resource = make_resource(DataItem(code="v", name="v", data_type=DataType.LONG_TEXT))
    wide, narrow = tmp_path / "wide.parquet", tmp_path / "narrow.parquet"
    frame_of(resource, [{"v": f"{number}" * 20_000} for number in range(100, 400)]).write_parquet(wide)
    frame_of(resource, [{"v": "x"}] * 300).write_parquet(narrow)
    assert size(narrow).chunk_rows == CHUNK_ROWS
    assert 300 < size(wide).chunk_rows < 2_000
    assert size(wide).row_count == 300
