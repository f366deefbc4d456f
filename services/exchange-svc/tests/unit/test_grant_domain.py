from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_runtime.paging import CursorInvalid
from dxmesh_schemas.catalog import DataItem, DataType, OpenType, OrganizationRef, ResourceSnapshot, SharingType, UpdateCycle
from dxmesh_schemas.exchange import BatchKind, ObjectRef
from exchange_svc import sealed_cursor
from exchange_svc.grant import domain
from exchange_svc.grant.domain import State
from exchange_svc.grant.errors import GrantNotActive, GrantOver

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
    assert domain.view_identity(["a"], free, one) == domain.view_identity(["a"], free, other)
    assert domain.view_identity(["a"], free, one) != domain.view_identity(["a", "b"], free, one)
    assert domain.view_identity(["a"], limited, one) != domain.view_identity(["a"], limited, other)


def test_a_grant_is_over_at_its_end_and_cannot_be_ended_twice() -> None:
    assert domain.state_at(State.ACTIVE, NOW, NOW - timedelta(seconds=1)) is State.ACTIVE
    assert domain.state_at(State.ACTIVE, NOW, NOW) is State.EXPIRED
    assert domain.state_at(State.TERMINATED, NOW, NOW) is State.TERMINATED
    with pytest.raises(GrantOver):
        domain.check_readable(State.EXPIRED, use_until=NOW, termination_reason=None)
    with pytest.raises(GrantNotActive):
        domain.check_terminable(State.TERMINATED)


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
