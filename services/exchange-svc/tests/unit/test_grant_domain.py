from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_runtime.paging import CursorInvalid
from dxmesh_schemas.catalog import DataItem, DataType, OpenType, OrganizationRef, ResourceSnapshot, SharingType, UpdateCycle
from dxmesh_schemas.exchange import BatchKind, ObjectRef
from dxmesh_schemas.exchange_terms import Comparison, Drop, Keep, Prefix, Pseudonym, Terms
from exchange_svc import sealed_cursor
from exchange_svc.grant import domain
from exchange_svc.grant.domain import State
from exchange_svc.grant.errors import GrantIsSuspended, GrantNotActive, GrantOver

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


def resource(*codes: str, key: tuple[str, ...] = (), kept: tuple[str, ...] = (), version: int = 1) -> ResourceSnapshot:
    def item(code: str) -> DataItem:
        sharing = SharingType.NOT_SHARED if code in kept else SharingType.UNCONDITIONAL
        return DataItem(code=code, name=code, data_type=DataType.TEXT, sharing_type=sharing)

    return ResourceSnapshot(
        resource_id=UUID(int=1),
        version=version,
        resource_code="330600-1",
        name="streets",
        summary="",
        class_path="1",
        provider=OrganizationRef(organization_id=UUID(int=2), uscc="x", name="p", division_code="330600"),
        system_id=UUID(int=3),
        items=tuple(item(code) for code in codes),
        key=key,
        sharing_type=SharingType.UNCONDITIONAL,
        open_type=OpenType.CLOSED,
        update_cycle=UpdateCycle.DAILY,
        schema_url=f"https://mesh.example/{version}/schema.json",
        published_at=NOW,
    )


def view(*items: str) -> domain.OpenView:
    return domain.OpenView(UUID(int=7), UUID(int=1), items, "dxmesh.view.7")


def test_a_view_keeps_to_the_items_a_later_version_still_has() -> None:
    told = domain.snapshot(view("a", "b"), resource("b", "c", version=2))
    assert told is not None
    assert (told.items, told.resource_version, told.schema_url) == (("b",), 2, "https://mesh.example/2/schema.json")
    assert domain.snapshot(view("a"), resource("b")) is None


def test_an_item_that_is_no_longer_shared_no_longer_leaves() -> None:
    told = domain.snapshot(view("a", "b"), resource("a", "b", kept=("b",)))
    assert told is not None
    assert told.items == ("a",)


def test_a_key_with_an_item_that_was_not_granted_stays_here() -> None:
    told = domain.snapshot(view("a"), resource("a", "b", key=("a", "b")))
    whole = domain.snapshot(view("a", "b"), resource("a", "b", key=("a", "b")))
    assert told is not None
    assert whole is not None
    assert (told.key, whole.key) == ((), ("a", "b"))


def test_nothing_is_dispatched_when_nothing_of_the_batch_may_leave() -> None:
    rows = ObjectRef(key="k", sha256="0", byte_count=1, row_count=1)
    told = {"batch_id": UUID(int=4), "sequence": 3, "kind": BatchKind.APPEND, "rows": rows, "now": NOW}
    assert domain.dispatch([view("z")], resource("a"), **told) is None
    order = domain.dispatch([view("a"), view("z")], resource("a"), **told)
    assert order is not None
    assert len(order.views) == 1


def test_equal_unconditional_grants_share_a_view_and_conditional_ones_never_do() -> None:
    one, other = UUID(int=10), UUID(int=11)
    free, limited = SharingType.UNCONDITIONAL, SharingType.CONDITIONAL
    plain = Terms()
    assert domain.view_identity(["a"], plain, free, one) == domain.view_identity(["a"], plain, free, other)
    assert domain.view_identity(["a"], plain, free, one) != domain.view_identity(["a", "b"], plain, free, one)
    assert domain.view_identity(["a"], plain, limited, one) != domain.view_identity(["a"], plain, limited, other)


def test_filters_and_masks_are_part_of_what_equal_grants_have_in_common_and_pseudonyms_belong_to_one() -> None:
    one, other, free = UUID(int=10), UUID(int=11), SharingType.UNCONDITIONAL
    area, year = Prefix(item="a", op="prefix", values=("3306",)), Comparison(item="b", op="ge", value="2020")
    there = domain.view_identity(["a", "b"], Terms(where=(area, year)), free, one)
    assert there == domain.view_identity(["a", "b"], Terms(where=(year, area)), free, other)
    assert there != domain.view_identity(["a", "b"], Terms(where=(area,)), free, one)
    assert there != domain.view_identity(["a", "b"], Terms(), free, one)
    hidden = Terms(masks=(Keep(item="a", mask="keep", prefix=1),))
    assert domain.view_identity(["a"], hidden, free, one) == domain.view_identity(["a"], hidden, free, other)
    token = Terms(masks=(Pseudonym(item="a", mask="pseudonym"),))
    assert domain.view_identity(["a"], token, free, one) != domain.view_identity(["a"], token, free, other)


def test_a_filter_that_can_no_longer_be_told_lets_nothing_out_and_a_mask_that_no_longer_fits_shows_nothing() -> None:
    area = domain.OpenView(UUID(int=7), UUID(int=1), ("a", "b"), "t", where=(Prefix(item="b", op="prefix", values=("33",)),))
    assert domain.snapshot(area, resource("a", "b")) is not None
    assert domain.snapshot(area, resource("a", version=2)) is None
    assert domain.snapshot(area, resource("a", "b", kept=("b",), version=2)) is None
    masked = domain.OpenView(UUID(int=7), UUID(int=1), ("a", "b"), "t", masks=(Keep(item="b", mask="keep", prefix=2),))
    short = resource("a", "b")
    short = short.model_copy(update={"items": (short.items[0], short.items[1].model_copy(update={"length": 2}))})
    told = domain.snapshot(masked, short)
    assert told is not None
    assert told.masks == (Drop(item="b", mask="drop"),)


def test_a_key_leaves_behind_a_pseudonym_and_not_behind_another_mask() -> None:
    for mask, key in ((Pseudonym(item="a", mask="pseudonym"), ("a",)), (Keep(item="a", mask="keep", prefix=1), ())):
        one = domain.OpenView(UUID(int=7), UUID(int=1), ("a", "b"), "t", masks=(mask,), scope=UUID(int=5))
        told = domain.snapshot(one, resource("a", "b", key=("a",)))
        assert told is not None
        assert (told.key, told.scope) == (key, UUID(int=5) if key else None)


def test_a_grant_is_over_at_its_end_and_cannot_be_ended_twice() -> None:
    assert domain.state_at(State.ACTIVE, NOW, NOW - timedelta(seconds=1)) is State.ACTIVE
    assert domain.state_at(State.ACTIVE, NOW, NOW) is State.EXPIRED
    assert domain.state_at(State.TERMINATED, NOW, NOW) is State.TERMINATED
    with pytest.raises(GrantOver):
        domain.check_readable(State.EXPIRED, use_until=NOW, termination_reason=None)
    with pytest.raises(GrantIsSuspended, match="too many calls"):
        domain.check_readable(State.SUSPENDED, use_until=None, termination_reason=None, suspension_reason="too many calls")
    for state in (State.TERMINATED, State.DISPOSED):
        with pytest.raises(GrantOver):
            domain.check_readable(state, use_until=None, termination_reason="x")
        with pytest.raises(GrantNotActive):
            domain.check_terminable(state)


@given(st.binary(min_size=1), st.text(), st.lists(st.integers() | st.text(), max_size=4))
def test_a_cursor_opens_where_it_was_sealed(key: bytes, scope: str, position: list[int | str]) -> None:
    assert sealed_cursor.unseal(key, scope, sealed_cursor.seal(key, scope, *position)) == position


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_changed_cursor_opens_nothing(at: int, letter: str) -> None:
    sealed = sealed_cursor.seal(b"k", "rows:1", 12, 3000)
    at %= len(sealed)
    changed = sealed[:at] + letter + sealed[at + 1 :]
    same = {sealed[at], letter} in ({"+", "-"}, {"/", "_"})  # two spellings of one base64 digit
    if changed == sealed or same or at == len(sealed) - 1:  # the last letter may hold bits that say nothing
        return
    with pytest.raises(CursorInvalid):
        sealed_cursor.unseal(b"k", "rows:1", changed)


@pytest.mark.parametrize("cursor", ["", "x", "é", "AAAA", "//", "MjAyNnwx", "a" * 5000])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        sealed_cursor.unseal(b"k", "rows:1", cursor)


def test_a_cursor_of_another_grant_is_refused() -> None:
    with pytest.raises(CursorInvalid):
        sealed_cursor.unseal(b"k", "rows:2", sealed_cursor.seal(b"k", "rows:1", 12, 3000))
