"""Rules of delivery: repeats, transactions, digests and keys."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, DispatchOrdered, ObjectRef, ViewSnapshot
from exchange_svc.delivery.domain import Delivered, Digest, Unit, bundles, completed_event_id, remember
from exchange_svc.delivery.projection import key_text, pieces

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
VIEW = ViewSnapshot(
    view_id=UUID(int=1),
    resource_id=UUID(int=2),
    resource_version=1,
    items=("code", "name"),
    key=("code",),
    topic="dxmesh.view.1",
    schema_url="http://node.test/schema.json",
)


def dispatch(sequence: int = 1, *, rows: int = 1, minutes: int = 0, kind: BatchKind = BatchKind.UPSERT, view=VIEW) -> DispatchOrdered:
    return DispatchOrdered(
        resource_id=view.resource_id,
        batch_id=uuid4(),
        sequence=sequence,
        kind=kind,
        rows=ObjectRef(key="batches/x/rows.parquet", sha256="00", byte_count=1, row_count=rows),
        views=(view,),
        ordered_at=AT + timedelta(minutes=minutes),
    )


def unit(sequence: int = 1, **more) -> Unit:
    order = dispatch(sequence, **more)
    return Unit(order, order.views[0], Meta(uuid4(), order.TYPE, order.SOURCE, AT))


def after(*sequences: int) -> Delivered:
    state = None
    for minutes, sequence in enumerate(sequences):
        state = remember(state, VIEW, dispatch(sequence, minutes=minutes), ((0, minutes),))
    assert state is not None
    return state


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_exactly_the_delivered_sequences_are_covered(sequences):
    state = after(*sequences)
    assert [n for n in range(1, 31) if state.covers(dispatch(n))] == sorted(set(sequences))
    borders = [border for one in state.sequences for border in one]
    assert borders == sorted(borders)
    assert all(one[1] + 1 < next_one[0] for one, next_one in zip(state.sequences, state.sequences[1:], strict=False))


def test_a_late_dispatch_is_not_taken_for_a_repeat():
    state = after(1, 2, 4)
    assert not state.covers(dispatch(3))
    assert state.sequences == ((1, 2), (4, 4))


def test_a_sequence_ordered_after_all_that_was_delivered_is_new_history():
    assert after(1, 2, 3).covers(dispatch(2, minutes=2))
    assert not after(1, 2, 3).covers(dispatch(2, minutes=3))


def test_what_is_remembered_survives_the_wire_and_newer_fields():
    state = after(1, 2, 9)
    assert Delivered.model_validate_json(state.model_dump_json()) == state
    assert Delivered.model_validate_json(state.model_dump_json().replace("{", '{"later": 1, ', 1)) == state
    assert state.ends == ((0, 2),)


@given(st.lists(st.lists(st.integers(0, 300), max_size=4), max_size=12), st.integers(1, 400))
def test_transactions_hold_every_unit_once_in_order_and_commit_each_dispatch_after_its_last(sizes, most):
    dispatches = [(offset * 2, [unit(offset + 1, rows=rows) for rows in views]) for offset, views in enumerate(sizes)]
    found = list(bundles(dispatches, most_rows=most))
    assert [one for bundle in found for one in bundle.units] == [one for _, units in dispatches for one in units]
    for bundle in found:
        assert len(bundle.units) <= 1 or sum(max(one.dispatch.rows.row_count, 1) for one in bundle.units) <= most
    offsets = [bundle.next_offset for bundle in found if bundle.next_offset is not None]
    assert offsets == sorted(set(offsets))
    if dispatches:
        assert found[-1].next_offset == dispatches[-1][0] + 1
    done: set[int] = set()
    for bundle in found:
        done |= {id(one) for one in bundle.units}
        if bundle.next_offset is not None:
            assert all(id(one) in done for offset, units in dispatches if offset < bundle.next_offset for one in units)


def test_a_dispatch_with_nothing_to_do_still_moves_the_offset():
    assert [(bundle.units, bundle.next_offset) for bundle in bundles([(7, []), (8, [])], most_rows=10)] == [([], 9)]


def test_the_event_id_is_that_of_batch_and_view():
    batch, view = UUID(int=5), UUID(int=6)
    assert completed_event_id(batch, view) == completed_event_id(batch, view)
    assert completed_event_id(batch, view) != completed_event_id(view, batch)
    assert completed_event_id(batch, view).version == 5


def test_a_digest_is_of_partitions_in_order_whatever_came_first():
    one, other = Digest(), Digest()
    for digest, order in ((one, (0, 2)), (other, (2, 0))):
        for partition in order:
            digest.update(partition, b"frames of %d" % partition)
    expected = hashlib.sha256(hashlib.sha256(b"frames of 0").digest() + hashlib.sha256(b"frames of 2").digest()).hexdigest()
    assert one.hexdigest() == other.hexdigest() == expected
    assert Digest().hexdigest() == hashlib.sha256(b"").hexdigest()


FRAME = pl.DataFrame(
    {
        "row_": pl.Series([4, 5], dtype=pl.UInt32),
        "code": ['a"b', None],
        "name": ["中", "文"],
        "day": [date(2026, 1, 2), None],
        "sum": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(38, 2)),
        "yes": [True, None],
    }
)


def test_a_single_key_item_is_its_plain_text():
    assert key_text(FRAME, ["code"]).to_list() == ['a"b', None]
    assert key_text(FRAME, ["day"]).to_list() == ["2026-01-02", None]
    assert key_text(FRAME, ["sum"]).to_list() == ["1.50", None]
    assert key_text(FRAME, ["yes"]).to_list() == ["true", None]


def test_several_key_items_are_a_json_array():
    assert key_text(FRAME, ["code", "day", "sum"]).to_list() == ['["a\\"b","2026-01-02",1.50]', "[null,null,null]"]


def test_a_key_stays_on_its_partition_in_every_version_of_everything():
    """The first hash is the example of the Iceberg specification, Appendix B: murmur3_x86_32("iceberg") = 1210000089."""
    frame = pl.DataFrame({"row_": pl.Series([1, 2, 3], dtype=pl.UInt32), "code": ["iceberg", "330602001", "越城区"], "name": ["", "", ""]})
    for partitions in (1, 3, 7, 100):
        places = {key: partition for partition, piece, _ in pieces(frame, [(unit(), 3)], partitions) for key in piece.keys}
        assert places["iceberg"] == 1210000089 % partitions
    spread = pl.DataFrame({"row_": pl.int_range(1, 3001, dtype=pl.UInt32, eager=True)}).with_columns(
        code=pl.col("row_").cast(pl.String), name=pl.lit("")
    )
    assert all(900 < len(piece) < 1100 for _, piece, _ in pieces(spread, [(unit(), 3000)], 3))


def test_a_deletion_without_a_key_names_only_the_row():
    view = VIEW.model_copy(update={"key": ()})
    [(partition, piece, _)] = pieces(FRAME.head(1), [(unit(kind=BatchKind.DELETE, view=view), 1)], 3)
    assert (partition, piece.keys, piece.values, piece.rows.to_list()) == (1, None, None, [4])
    assert bytes(piece.frame_bytes()) == b"\x01\x01"


def test_a_topic_that_lost_its_records_is_given_them_again_and_its_readers_keys_stay_known():
    key = ObjectRef(key="members/1/1-00.parquet", sha256="00", byte_count=1, row_count=1)
    state = remember(after(1), VIEW, dispatch(2, minutes=2), ((0, 5),), (key,))
    lost = state.lost()
    assert (state.covers(dispatch(2)), lost.covers(dispatch(2)), lost.ends) == (True, False, ())
    assert lost.members == remember(lost, VIEW, dispatch(2, minutes=3), ((0, 1),)).members == (key,)
